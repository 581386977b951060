"""Shows barbeque_py on AWS, all on this machine and without an account; `make demo-aws` runs it.

The product is started as on a fleet: an API and two workers, each with a home of its own, sharing
only what four URLs name. AWS is a stand-in, of which only AWS_ENDPOINT_URL tells them: moto for
S3, CloudWatch Logs, IAM and EventBridge, and the SQS and ECS of the project's tests, which really
queue messages and really run containers.
"""

import gzip
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError
from rich.markup import escape
from rich.table import Table

import account
import image
import stand_ins
from stage import (
    BARBEQUE,
    EVERY,
    HERE,
    HOME,
    PICTURES,
    SIZE,
    WIDTH,
    Barbeque,
    DemoError,
    Run,
    ask_to_end,
    console,
    dimensions,
    free_port,
    headline,
    host_for_jobs,
    make_sample,
    perform,
    print_files,
    require,
    running,
    shorten,
    wait_until_ready,
)

PLACE = HOME / "demo-aws"
SAMPLE = HOME / "demo" / "storage" / "sample.mp4"
MADE = PLACE / "made"
HOUR = 3600
INTERRUPTED, CANCELLED = "Sleeper (interrupted)", "Sleeper (cancelled)"
STANDARD_SOCKET = "/var/run/docker.sock"


@dataclass(frozen=True)
class Cloud:
    """The stand-in for AWS: where it is here, where jobs reach it, and what runs their tasks."""

    endpoint: str
    for_jobs: str
    runner: str


@dataclass(frozen=True)
class Outcome:
    """One execution as it ended, and its attempts' logs as S3 has them."""

    run: Run
    status: dict[str, Any]
    logs: list[list[str]]

    @property
    def attempts(self) -> list[dict[str, Any]]:
        """What became of each attempt."""
        found: list[dict[str, Any]] = self.status["attempts"]
        return found


def show(stack: ExitStack) -> None:
    """Show everything, leaving on the stack what must be stopped at the end."""
    try:
        show_all(stack)
    except (BotoCoreError, ClientError) as error:
        raise DemoError(f"the stand-in for AWS: {error}", PLACE / "aws.log") from error


def show_all(stack: ExitStack) -> None:
    """Show everything; raises what boto3 raises, too."""
    shutil.rmtree(PLACE, ignore_errors=True)
    PLACE.mkdir(parents=True)
    runner = choose_runner()
    make_sample(SAMPLE)
    cloud, database = start_outside(stack, runner)
    headline("Make what a fleet needs in the account, and start it: an API and two workers")
    barbeque = start_fleet(stack, cloud, database)
    for name in ("barbeque.yaml", "aws.yaml"):
        console.print(f"barbeque apply -f {name}")
        barbeque.call("apply", "-f", str(HERE / name))
    headline("Enqueue jobs over HTTP, follow their logs, interrupt one and cancel one")
    runs = stack.enter_context(barbeque.cancelling())
    enqueue(barbeque, runs, cloud)
    with barbeque.followed(runs):
        disturb(barbeque, cloud, {run.title: run for run in runs})
    outcomes = [await_outcome(barbeque, run) for run in runs]
    headline("How each job went, in ECS's words")
    print_outcomes(outcomes)
    headline(f"What came out of S3: logs, read from s3://{account.BUCKET}, and files")
    print_logs(outcomes)
    fetch_files()
    print_files([SAMPLE, *sorted(MADE.iterdir())])
    check(outcomes, cloud)


def choose_runner() -> str:
    """Return what runs the containers of tasks: the engine, where the image can be had."""
    if os.environ.get("BARBEQUE_EXECUTOR", "").startswith("process:"):
        return say_processes("BARBEQUE_EXECUTOR says so")
    if image.socket_path() != STANDARD_SOCKET:
        return say_processes(f"the stand-in for ECS looks for an engine at {STANDARD_SOCKET} only")
    try:
        about = image.build_if_needed(console.print)
    except image.NoImageError as error:
        return say_processes(str(error))
    console.print(f"Tasks run in containers of {image.NAME}: {about}.")
    return "docker"


def say_processes(why: str) -> str:
    """Tell that tasks are processes, and what can't be shown so."""
    console.print(
        f"Tasks run as processes: {escape(why)}. The job that runs out of memory is left out, as "
        "only an engine holds a job to its memory."
    )
    return "process"


def start_outside(stack: ExitStack, runner: str) -> tuple[Cloud, str]:
    """Start what is not barbeque_py; return the AWS, and the database's URL."""
    mariadb = stand_ins.has_mariadb()
    stand_ins.say_database(mariadb=mariadb)
    aws = stack.enter_context(stand_ins.started("tests.cloud", PLACE / "aws.log"))
    database = f"sqlite:///{PLACE}/barbeque.db"
    if mariadb:
        server = stack.enter_context(stand_ins.started("tests.mariadb", PLACE / "mariadb.log"))
        database = server.told()["url"]
    endpoint = aws.told()["endpoint"]
    stand_ins.believe(endpoint)
    host = host_for_jobs(contained=runner == "docker")
    network = "host" if host == "127.0.0.1" else "bridge"
    knobs = {"runner": runner, "network": network, "event_queue": account.EVENTS}
    stand_ins.control(endpoint, "ecs/configure", **knobs)
    console.print(f"AWS is a stand-in at {endpoint}, known by AWS_ENDPOINT_URL alone.")
    return Cloud(endpoint, endpoint.replace("127.0.0.1", host), runner), database


def start_fleet(stack: ExitStack, cloud: Cloud, database: str) -> Barbeque:
    """Start an API and two workers as on three machines; return what speaks to them."""
    account.set_up()
    port, for_jobs = free_port(), free_port()
    host = host_for_jobs(contained=cloud.runner == "docker")
    os.environ |= account.settings(database, f"http://{host}:{for_jobs}")
    os.environ["BARBEQUE_JOB_LISTEN"] = f"127.0.0.1:{for_jobs}"
    for name in ("DATABASE", "BROKER", "EXECUTOR", "LOGS"):
        console.print(f"  BARBEQUE_{name}={os.environ[f'BARBEQUE_{name}']}")
    barbeque = Barbeque(f"http://127.0.0.1:{port}")
    barbeque.call("migrate")
    words = {"worker-1": ["worker"], "worker-2": ["worker"], "api": ["api", "--port", str(port)]}
    programs = {name: start(stack, barbeque, name, words[name]) for name in words}
    stack.callback(ask_to_end, list(programs.values()))
    wait_until_ready(barbeque, programs["api"], PLACE / "api.log")
    return barbeque


def start(
    stack: ExitStack, barbeque: Barbeque, name: str, words: list[str]
) -> subprocess.Popen[bytes]:
    """Start one process of the fleet, in a home of its own."""
    home = PLACE / name
    home.mkdir()
    environment = {**barbeque.environment, "BARBEQUE_HOME": str(home)}
    return stack.enter_context(running([BARBEQUE, *words], environment, PLACE / f"{name}.log"))


def enqueue(barbeque: Barbeque, runs: list[Run], cloud: Cloud) -> None:
    """Ask for every job; media jobs are told where in S3 to read and write, for an hour."""
    boto3.client("s3").upload_file(str(SAMPLE), account.MEDIA, "sample.mp4")
    # Signed for the address at which jobs reach S3.
    s3 = boto3.client("s3", endpoint_url=cloud.for_jobs)
    place = {"Bucket": account.MEDIA, "Key": "sample.mp4"}
    source = s3.generate_presigned_url("get_object", Params=place, ExpiresIn=HOUR)
    target = s3.generate_presigned_post(
        account.MEDIA,
        "made/${filename}",
        Conditions=[["starts-with", "$key", "made/"]],
        ExpiresIn=HOUR,
    )
    video = {"width": WIDTH, "source": source, "target": target}
    runs.append(barbeque.enqueue("Thumbnail", {"every": EVERY, **video}))
    runs.append(barbeque.enqueue("Encode", video))
    runs.append(barbeque.enqueue("Flaky", {}))
    if cloud.runner == "docker":
        runs.append(barbeque.enqueue("Greedy", {}))
    runs.append(barbeque.enqueue(INTERRUPTED, 600))
    runs.append(barbeque.enqueue(CANCELLED, 600))


def disturb(barbeque: Barbeque, cloud: Cloud, runs: dict[str, Run]) -> None:
    """Take one task's Spot capacity away, and cancel another, once both are at work."""
    interrupted, cancelled = runs[INTERRUPTED], runs[CANCELLED]
    await_true(
        lambda: all("working" in "".join(run.lines) for run in (interrupted, cancelled)),
        "the sleepers are at work",
    )
    task = barbeque.status(interrupted)["attempts"][0]["handle"]
    console.print(f"[bold]Spot takes {task} away[/]")
    stand_ins.control(cloud.endpoint, "ecs/interrupt", task=task)
    console.print(f"[bold]barbeque cancel {cancelled.message_id}[/]")
    barbeque.call("cancel", cancelled.message_id)


def await_true(true: Callable[[], bool], what: str, *, seconds: float = 60) -> None:
    """Return once it is true; raise `DemoError` when it does not become so."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            text = f"after {seconds:.0f} s it is not so that {what}"
            raise DemoError(text, PLACE / "worker-1.log")
        time.sleep(0.1)


def await_outcome(barbeque: Barbeque, run: Run) -> Outcome:
    """Wait for the end of the run and of its logs, and read these from S3."""
    status = barbeque.wait(run)

    def is_sealed() -> bool:
        status.update(barbeque.status(run))
        return all(attempt["log"]["sealed_at"] for attempt in status["attempts"])

    await_true(is_sealed, f"the logs of {run.title} are sealed")
    return Outcome(run, status, [read_log(run, each["number"]) for each in status["attempts"]])


def read_log(run: Run, attempt: int) -> list[str]:
    """Return a log's lines straight from S3, as `aws s3 cp s3://… - | zcat` prints them."""
    key = f"logs/media/{run.job}/{run.message_id}/{attempt}/log.gz"
    stored = boto3.client("s3").get_object(Bucket=account.BUCKET, Key=key)["Body"].read()
    return gzip.decompress(stored).decode().splitlines()


def fetch_files() -> None:
    """Copy what the media jobs made from S3."""
    s3 = boto3.client("s3")
    MADE.mkdir()
    for each in s3.list_objects_v2(Bucket=account.MEDIA, Prefix="made/").get("Contents", []):
        s3.download_file(account.MEDIA, each["Key"], str(MADE / Path(each["Key"]).name))


def print_outcomes(outcomes: Sequence[Outcome]) -> None:
    """Print how each attempt went: as we count it, and as ECS tells of its task."""
    handles = [attempt["handle"] for each in outcomes for attempt in each.attempts]
    found = boto3.client("ecs").describe_tasks(cluster=account.CLUSTER, tasks=handles)["tasks"]
    tasks = {task["taskArn"]: task for task in found}
    table = Table("job", "state", "attempt", "exit", "try used", "in ECS's words")
    for each in outcomes:
        begin = [each.run.title, each.status["state"]]
        for attempt in each.attempts:
            words = escape(in_words_of_ecs(tasks[attempt["handle"]]))
            ended = f"{attempt['number']}: {attempt['reason']}"
            counted = "yes" if attempt["counted"] else "no"
            table.add_row(*begin, ended, str(attempt["exit_code"]), counted, words)
            begin = ["", ""]
    console.print(table)


def in_words_of_ecs(task: dict[str, Any]) -> str:
    """Return what ECS says of a stopped task: its code, its reason, and the container's."""
    said = [task["stoppedReason"], *(each.get("reason", "") for each in task["containers"])]
    return f"{task['stopCode']}: " + "; ".join(filter(None, said))


def print_logs(outcomes: Sequence[Outcome]) -> None:
    """Print of each log how long it is, and its last line."""
    table = Table("log.gz of", "attempt", "lines", "the last line, as it is stored")
    for each in outcomes:
        for number, lines in enumerate(each.logs, 1):
            last = escape(shorten(lines[-1], 80)) if lines else ""
            table.add_row(each.run.title, str(number), str(len(lines)), last)
    console.print(table)


def check(outcomes: Sequence[Outcome], cloud: Cloud) -> None:
    """Raise `DemoError` unless all came out as it should."""
    by_title = {each.run.title: each for each in outcomes}
    files = sorted(MADE.iterdir())
    tasks = stand_ins.control(cloud.endpoint, "ecs/counts")
    attempts = sum(len(each.attempts) for each in outcomes)
    facts = {
        "a picture for every 5 s and a video came out of S3": (
            [file.name for file in files] == ["small.mp4", *PICTURES]
        ),
        f"all are {SIZE}": {dimensions(file) for file in files} == {SIZE},
        "Flaky failed twice and then succeeded": ends_of(by_title["Flaky"])
        == [("exited", 1), ("exited", 1), ("exited", 0)],
        "the interrupted job lost its Spot task, ran again and used up no retry": (
            ends_of(by_title[INTERRUPTED]) == [("interrupted", 143), ("exited", 0)]
            and by_title[INTERRUPTED].status["counted"] == 1
        ),
        "the cancelled job was stopped": by_title[CANCELLED].status["state"] == "cancelled"
        and ends_of(by_title[CANCELLED]) == [("cancelled", 143)],
        "every attempt was one task, and every task an attempt": (
            tasks["tasks"] == attempts and tasks["most_for_one_startedBy"] == 1
        ),
        "every log in S3 has what was printed": all(map(has_what_was_printed, outcomes)),
    }
    if cloud.runner == "docker":
        facts["Greedy ran out of memory"] = ends_of(by_title["Greedy"]) == [("out of memory", 137)]
    require(facts)


def ends_of(outcome: Outcome) -> list[tuple[str, int | None]]:
    """Return how the attempts ended."""
    return [(each["reason"], each["exit_code"]) for each in outcome.attempts]


def has_what_was_printed(outcome: Outcome) -> bool:
    """Tell whether the logs in S3 are, line by line, what `barbeque logs -f` printed."""
    stored = [line.split(" ", 2)[2] for log in outcome.logs for line in log]
    printed = [line for line in outcome.run.lines if not line.startswith("-- ")]
    return stored == printed


if __name__ == "__main__":
    sys.exit(perform(show, PLACE))
