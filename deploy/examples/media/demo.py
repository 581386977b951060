"""Shows barbeque_py at work: three jobs, from an HTTP request to the files they made.

It uses what the product offers to everybody: the command `barbeque` and HTTP. `make demo` runs it.
"""

import json
import os
import platform
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

import image
from storage import Storage

HERE = Path(__file__).resolve().parent
PLACE = HERE.parents[2] / ".barbeque" / "demo"
LOG = PLACE / "up.log"
FILES = PLACE / "storage"
MADE = FILES / "made"
BIN = Path(sys.executable).parent
BARBEQUE = str(BIN / "barbeque")
# Jobs that run as processes find ffmpeg where this environment has it.
PATH = f"{BIN}{os.pathsep}{os.environ['PATH']}"
SECONDS, EVERY, WIDTH = 30, 5, 320
COLOURS = {"Thumbnail": "cyan", "Encode": "magenta", "Flaky": "yellow"}

console = Console(highlight=False, soft_wrap=True)


class DemoError(Exception):
    """Something was not as it should be; the text says what, and what to do."""


@dataclass(frozen=True)
class Run:
    """One requested execution."""

    job: str
    message_id: str


def main() -> int:
    """Run the demo; return the exit code."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    began = time.monotonic()
    try:
        with ExitStack() as stack:
            show(stack)
    except (DemoError, subprocess.CalledProcessError) as error:
        console.print(f"[bold red]The demo failed:[/] {escape(str(error))}")
        if LOG.exists():
            console.print(f"The end of {LOG}:", *LOG.read_text().splitlines()[-20:], sep="\n  ")
        return 1
    except KeyboardInterrupt:
        console.print("Stopped.")
        return 130
    console.print(f"[bold green]All as expected[/], in {time.monotonic() - began:.0f} s.")
    return 0


def show(stack: ExitStack) -> None:
    """Show everything, leaving on the stack what must be stopped at the end."""
    shutil.rmtree(PLACE / "home", ignore_errors=True)
    shutil.rmtree(MADE, ignore_errors=True)
    LOG.unlink(missing_ok=True)
    executor = choose_executor()
    make_sample()
    storage = stack.enter_context(Storage(FILES))
    barbeque = stack.enter_context(started(executor))
    barbeque.call("apply", "-f", str(HERE / "barbeque.yaml"))
    headline("Enqueue three jobs over HTTP, and follow their logs")
    runs = stack.enter_context(enqueued(barbeque, files_url(executor, storage.port)))
    barbeque.follow(runs)
    statuses = {run.job: barbeque.wait(run) for run in runs}
    headline("What was made")
    print_files()
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


def make_sample() -> None:
    """Make the video the jobs work on, unless an earlier demo left it."""
    sample = FILES / "sample.mp4"
    if sample.exists():
        return
    console.print(f"Making a video of {SECONDS} s: {sample}")
    FILES.mkdir(parents=True, exist_ok=True)
    unfinished = sample.with_suffix(".part.mp4")
    command = [
        *("ffmpeg", "-nostdin", "-y", "-loglevel", "error"),
        *("-f", "lavfi", "-i", f"testsrc2=size=640x360:rate=25:duration={SECONDS}"),
        *("-f", "lavfi", "-i", f"sine=frequency=440:duration={SECONDS}"),
        *("-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p", "-c:a", "aac"),
        str(unfinished),
    ]
    subprocess.run(command, check=True, env={**os.environ, "PATH": PATH})
    unfinished.rename(sample)


def files_url(executor: str, port: int) -> str:
    """Return where a job reaches the storage: this machine's loopback, but for a Mac's engine."""
    engine_elsewhere = executor.startswith("docker:") and platform.system() == "Darwin"
    return f"http://{'host.docker.internal' if engine_elsewhere else '127.0.0.1'}:{port}/"


class Barbeque:
    """A running barbeque_py: its command line, and its HTTP API."""

    def __init__(self, url: str) -> None:
        """Speak to the barbeque_py at the URL."""
        self.url = url
        self.environment = {**os.environ, "BARBEQUE_URL": url, "PATH": PATH}

    def call(self, *arguments: str) -> str:
        """Run the command `barbeque`; return what it printed."""
        ended = subprocess.run(
            [BARBEQUE, *arguments],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if ended.returncode:
            raise DemoError(f"barbeque {' '.join(arguments)} failed:\n{ended.stdout}")
        return ended.stdout

    def enqueue(self, job: str, message: dict[str, Any]) -> Run:
        """Ask for one execution, with nothing but an HTTP request."""
        wanted = {"application": "media", "job": job, "queue": "default", "message": message}
        console.print(f"POST /v2/job_executions {escape(json.dumps(wanted))}")
        request = urllib.request.Request(
            f"{self.url}/v2/job_executions",
            data=json.dumps(wanted).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as response:
            run = Run(job, json.load(response)["message_id"])
        console.print(f"  message_id {run.message_id}")
        return run

    def follow(self, runs: list[Run]) -> None:
        """Print the logs of all the runs while they are written, until all have ended."""
        followers = [self._follower(run) for run in runs]
        with ThreadPoolExecutor(len(runs)) as pool, ending(followers):
            list(pool.map(print_lines, runs, followers))

    def _follower(self, run: Run) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [BARBEQUE, "logs", "-f", run.message_id],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def wait(self, run: Run, *, seconds: float = 60) -> dict[str, Any]:
        """Return the status of the run once it has ended."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            status: dict[str, Any] = json.loads(self.call("status", run.message_id, "--json"))
            if status["state"] in {"succeeded", "failed", "cancelled"}:
                return status
            time.sleep(0.2)
        raise DemoError(f"{run.job} has not ended after {seconds:.0f} s; it is {status['state']}")


@contextmanager
def started(executor: str) -> Iterator[Barbeque]:
    """Run `barbeque up` while the demo lasts, on a port that is free."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    console.print(f"Starting barbeque up on port {port}, with everything it keeps in {PLACE}/home")
    barbeque = Barbeque(f"http://127.0.0.1:{port}")
    own = {"BARBEQUE_HOME": str(PLACE / "home"), "BARBEQUE_EXECUTOR": executor}
    with LOG.open("wb") as log:
        up = subprocess.Popen(
            [BARBEQUE, "up", "--port", str(port)],
            env={**barbeque.environment, **own},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C is ours to pass on, after the jobs are cancelled
        )
    try:
        wait_until_ready(barbeque, up)
        yield barbeque
    finally:
        stop(up)


def wait_until_ready(barbeque: Barbeque, up: subprocess.Popen[bytes]) -> None:
    """Return once the API says that it is ready."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if up.poll() is not None:
            raise DemoError(f"barbeque up ended with exit code {up.returncode}")
        with suppress(OSError), urllib.request.urlopen(f"{barbeque.url}/readyz", timeout=5):
            return
        time.sleep(0.1)
    raise DemoError("barbeque up is not ready after 60 s")


def stop(up: subprocess.Popen[bytes]) -> None:
    """End `barbeque up`, and whatever is left of it."""
    up.terminate()
    with suppress(subprocess.TimeoutExpired):
        up.wait(20)
    with suppress(ProcessLookupError):
        os.killpg(up.pid, signal.SIGKILL)
    up.wait()


@contextmanager
def enqueued(barbeque: Barbeque, files: str) -> Iterator[list[Run]]:
    """Enqueue the three jobs; cancel them if the demo ends before they do."""
    runs: list[Run] = []
    video = {"source": f"{files}sample.mp4", "target": f"{files}made/", "width": WIDTH}
    try:
        runs.append(barbeque.enqueue("Thumbnail", {**video, "every": EVERY}))
        runs.append(barbeque.enqueue("Encode", video))
        runs.append(barbeque.enqueue("Flaky", {}))
        yield runs
    except BaseException:
        for run in runs:
            with suppress(DemoError):
                barbeque.call("cancel", run.message_id)
        for run in runs:
            with suppress(DemoError):
                barbeque.wait(run, seconds=10)
        raise


@contextmanager
def ending(followers: list[subprocess.Popen[str]]) -> Iterator[None]:
    """End the followers when the demo is stopped, so that nobody waits for their next line."""
    try:
        yield
    except BaseException:
        for follower in followers:
            follower.terminate()
        raise


def print_lines(run: Run, follower: subprocess.Popen[str]) -> None:
    """Print one run's log as it comes, each line with the job's name."""
    with follower:
        for line in follower.stdout or ():
            name = f"[{COLOURS[run.job]}]{run.job:9}[/]"
            console.print(f"{name} | {escape(line.rstrip())}")


def headline(text: str) -> None:
    """Print what comes next."""
    console.print(f"\n[bold]{text}[/]")


def print_files() -> None:
    """Print every file the jobs made, with its size and dimensions."""
    table = Table("file", "size", "dimensions")
    for file in [FILES / "sample.mp4", *made()]:
        table.add_row(file.name, f"{file.stat().st_size / 1000:,.1f} kB", dimensions(file))
    console.print(table)


def made() -> list[Path]:
    """Return the files the jobs made."""
    return sorted(MADE.iterdir()) if MADE.is_dir() else []


def dimensions(file: Path) -> str:
    """Return width and height of a picture or video, as ffmpeg sees it."""
    told = subprocess.run(
        ["ffmpeg", "-hide_banner", "-i", str(file)],
        env={**os.environ, "PATH": PATH},
        capture_output=True,
        text=True,
        check=False,
    ).stderr
    found = re.search(r"Video: .*?, (\d{2,}x\d{2,})", told)
    return found[1] if found else "?"


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
    height = WIDTH * 360 // 640
    pictures = [f"thumbnail-{n:04}.jpg" for n in range(1, SECONDS // EVERY + 1)]
    small = MADE / "small.mp4"
    facts = {
        "all jobs succeeded": {s["state"] for s in statuses.values()} == {"succeeded"},
        "there is one picture for every 5 s, and a video": (
            [file.name for file in made()] == ["small.mp4", *pictures]
        ),
        f"all are {WIDTH}x{height}": {dimensions(f) for f in made()} == {f"{WIDTH}x{height}"},
        "the video is smaller than the sample": (
            small.exists() and small.stat().st_size < (FILES / "sample.mp4").stat().st_size
        ),
        "Flaky failed twice and then succeeded": (
            [attempt["exit_code"] for attempt in statuses["Flaky"]["attempts"]] == [1, 1, 0]
        ),
    }
    wrong = [sentence for sentence, holds in facts.items() if not holds]
    if wrong:
        raise DemoError("this does not hold: " + "; ".join(wrong))


if __name__ == "__main__":
    sys.exit(main())
