"""Shows barbeque_py at work: three jobs, from an HTTP request to the files they made.

It uses what the product offers to everybody: the command `barbeque` and HTTP. `make demo` runs it.
"""

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table

import image
from stage import (
    BARBEQUE,
    EVERY,
    HERE,
    HOME,
    PICTURES,
    SIZE,
    WIDTH,
    Barbeque,
    Run,
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
    wait_until_ready,
)
from storage import Storage

PLACE = HOME / "demo"
LOG = PLACE / "up.log"
FILES = PLACE / "storage"
SAMPLE = FILES / "sample.mp4"
MADE = FILES / "made"


def show(stack: ExitStack) -> None:
    """Show everything, leaving on the stack what must be stopped at the end."""
    shutil.rmtree(PLACE / "home", ignore_errors=True)
    shutil.rmtree(MADE, ignore_errors=True)
    LOG.unlink(missing_ok=True)
    executor = choose_executor()
    make_sample(SAMPLE)
    storage = stack.enter_context(Storage(FILES))
    barbeque = stack.enter_context(started(executor))
    barbeque.call("apply", "-f", str(HERE / "barbeque.yaml"))
    headline("Enqueue three jobs over HTTP, and follow their logs")
    runs = stack.enter_context(barbeque.cancelling())
    host = host_for_jobs(contained=executor.startswith("docker:"))
    enqueue(barbeque, runs, f"http://{host}:{storage.port}/")
    with barbeque.followed(runs):
        pass
    statuses = {run.job: barbeque.wait(run) for run in runs}
    headline("What was made")
    print_files([SAMPLE, *made()])
    print_runs(statuses)
    check(statuses)
    console.print(
        f"The files are in {MADE}. To look around in what just ran, start it and leave it running:"
        f"\n  BARBEQUE_HOME={PLACE / 'home'} make up"
    )


def choose_executor() -> str:
    """Return where jobs run: in containers where the image can be had, else as processes."""
    wanted = os.environ.get("BARBEQUE_EXECUTOR", "")
    if wanted.startswith("process:"):
        console.print("Jobs run as processes, as BARBEQUE_EXECUTOR says.")
        return wanted
    try:
        about = image.build_if_needed(console.print)
    except image.NoImageError as error:
        console.print(f"Jobs run as processes on this machine: {escape(str(error))}.")
        return "process:"
    console.print(f"Jobs run in containers of {image.NAME}: {about}.")
    return wanted or f"docker:?socket={image.socket_path()}"


@contextmanager
def started(executor: str) -> Iterator[Barbeque]:
    """Run `barbeque up` while the demo lasts, on a port that is free."""
    port = free_port()
    console.print(f"Starting barbeque up on port {port}, with everything it keeps in {PLACE}/home")
    barbeque = Barbeque(f"http://127.0.0.1:{port}")
    own = {"BARBEQUE_HOME": str(PLACE / "home"), "BARBEQUE_EXECUTOR": executor}
    arguments = [BARBEQUE, "up", "--port", str(port)]
    with running(arguments, {**barbeque.environment, **own}, LOG) as up:
        wait_until_ready(barbeque, up, LOG)
        yield barbeque


def enqueue(barbeque: Barbeque, runs: list[Run], files: str) -> None:
    """Enqueue the three jobs."""
    video = {"source": f"{files}sample.mp4", "target": f"{files}made/", "width": WIDTH}
    runs.append(barbeque.enqueue("Thumbnail", {**video, "every": EVERY}))
    runs.append(barbeque.enqueue("Encode", video))
    runs.append(barbeque.enqueue("Flaky", {}))


def made() -> list[Path]:
    """Return the files the jobs made."""
    return sorted(MADE.iterdir()) if MADE.is_dir() else []


def print_runs(statuses: dict[str, dict[str, Any]]) -> None:
    """Print how each execution went, attempt by attempt."""
    table = Table("job", "state", "attempts")
    for job, status in statuses.items():
        attempts = "\n".join(describe(attempt) for attempt in status["attempts"])
        table.add_row(job, status["state"], attempts)
    console.print(table)


def describe(attempt: dict[str, Any]) -> str:
    """Return one attempt's number and end, in a few words."""
    return f"{attempt['number']}: {attempt['reason']}, exit code {attempt['exit_code']}"


def check(statuses: dict[str, dict[str, Any]]) -> None:
    """Raise `DemoError` unless all came out as it should."""
    small = MADE / "small.mp4"
    require(
        {
            "all jobs succeeded": {s["state"] for s in statuses.values()} == {"succeeded"},
            "there is one picture for every 5 s, and a video": (
                [file.name for file in made()] == ["small.mp4", *PICTURES]
            ),
            f"all are {SIZE}": {dimensions(f) for f in made()} == {SIZE},
            "the video is smaller than the sample": (
                small.exists() and small.stat().st_size < SAMPLE.stat().st_size
            ),
            "Flaky failed twice and then succeeded": (
                [attempt["exit_code"] for attempt in statuses["Flaky"]["attempts"]] == [1, 1, 0]
            ),
        }
    )


if __name__ == "__main__":
    sys.exit(perform(show, PLACE))
