"""What both demos stand on: a running barbeque_py as its users have it, and a sample video."""

import json
import os
import platform
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
HOME = Path(os.environ.get("BARBEQUE_HOME") or ROOT / ".barbeque").resolve()
"""Where the demos keep their files."""
BIN = Path(sys.executable).parent
BARBEQUE = str(BIN / "barbeque")
# Jobs that run as processes find ffmpeg where this environment has it.
PATH = f"{BIN}{os.pathsep}{os.environ['PATH']}"
SECONDS, EVERY, WIDTH = 30, 5, 320
PICTURES = [f"thumbnail-{n:04}.jpg" for n in range(1, SECONDS // EVERY + 1)]
"""What Thumbnail makes of the sample."""
SIZE = f"{WIDTH}x{WIDTH * 360 // 640}"
"""Width and height of all that is made."""
COLOURS = ("cyan", "magenta", "yellow", "green", "blue", "red")

console = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 120)


class DemoError(Exception):
    """Something was not as it should be; the text says what, and `log` what says more."""

    def __init__(self, text: str, log: Path | None = None) -> None:
        super().__init__(text)
        self.log = log


@dataclass(frozen=True)
class Run:
    """One requested execution; `title` is what tells it from the others on the screen."""

    title: str
    message_id: str
    lines: list[str] = field(default_factory=list)
    """What was printed of its log so far."""

    @property
    def job(self) -> str:
        """The job's name: the title's first word."""
        return self.title.partition(" ")[0]


def perform(show: Callable[[ExitStack], None], folder: Path) -> int:
    """Run a demo, end whatever it started, and return the exit code.

    `folder` is where its programs write their logs.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    began = time.monotonic()
    try:
        with ExitStack() as stack:
            try:
                show(stack)
            finally:
                # Whoever presses Ctrl-C again now would leave something running.
                signal.signal(signal.SIGINT, signal.SIG_IGN)
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
                console.print("Ending what was started.")
    except (DemoError, subprocess.CalledProcessError, OSError) as error:
        tell_failure(error, folder)
        return 1
    except KeyboardInterrupt:
        console.print("Stopped.")
        return 130
    console.print(f"[bold green]All as expected[/], in {time.monotonic() - began:.0f} s.")
    return 0


def tell_failure(error: Exception, folder: Path) -> None:
    """Print what went wrong, and where more is said about it."""
    console.print(f"[bold red]The demo failed:[/] {escape(str(error))}")
    logs = sorted(folder.glob("*.log"))
    log = getattr(error, "log", None)
    if log and log.exists():
        lines = log.read_text(errors="replace").splitlines()[-20:]
        console.print(f"The end of {log}:", *map(escape, lines), sep="\n  ")
    if logs:
        console.print("Logs:", *logs, sep="\n  ")


def host_for_jobs(*, contained: bool) -> str:
    """Return where jobs reach this machine: its loopback, but for containers on a Mac."""
    on_mac = contained and platform.system() == "Darwin"
    return "host.docker.internal" if on_mac else "127.0.0.1"


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    return port


def make_sample(sample: Path) -> None:
    """Make the video the jobs work on, unless an earlier demo left it."""
    if sample.exists():
        return
    console.print(f"Making a video of {SECONDS} s: {sample}")
    sample.parent.mkdir(parents=True, exist_ok=True)
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

    def enqueue(self, title: str, message: Any) -> Run:
        """Ask for one execution of the job, the title's first word, with only an HTTP request."""
        job = title.partition(" ")[0]
        wanted = {"application": "media", "job": job, "queue": "default", "message": message}
        console.print(f"POST /v2/job_executions {escape(shorten(json.dumps(wanted)))}")
        request = urllib.request.Request(
            f"{self.url}/v2/job_executions",
            data=json.dumps(wanted).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as response:
            run = Run(title, json.load(response)["message_id"])
        console.print(f"  message_id {run.message_id}")
        return run

    def status(self, run: Run) -> dict[str, Any]:
        """Return all about the execution and its attempts, once a worker has seen it."""
        asked = f"{self.url}/v2/job_executions/{run.message_id}"
        with urllib.request.urlopen(asked, timeout=30) as response:
            found: dict[str, Any] = json.load(response)
        return found

    def wait(self, run: Run, *, seconds: float = 60) -> dict[str, Any]:
        """Return the status of the run once it has ended."""
        deadline = time.monotonic() + seconds
        status = self.status(run)
        while status["state"] not in {"succeeded", "failed", "cancelled"}:
            if time.monotonic() > deadline:
                raise DemoError(f"{run.title} has not ended in time; it is {status['state']}")
            time.sleep(0.2)
            status = self.status(run)
        return status

    @contextmanager
    def followed(self, runs: Sequence[Run]) -> Iterator[None]:
        """Print the logs of the runs while they are written; at the end wait for theirs."""
        followers = [self._follower(run) for run in runs]
        width = max(len(run.title) for run in runs)
        with ThreadPoolExecutor(len(runs)) as pool, ending(followers):
            printing = [
                pool.submit(print_lines, run, follower, f"[{colour}]{run.title:{width}}[/]")
                for run, follower, colour in zip(runs, followers, COLOURS, strict=False)
            ]
            yield
            for each in printing:
                each.result()

    def _follower(self, run: Run) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [BARBEQUE, "logs", "-f", run.message_id],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    @contextmanager
    def cancelling(self) -> Iterator[list[Run]]:
        """Hand out a list for runs; those in it are cancelled if the demo ends before they do."""
        runs: list[Run] = []
        try:
            yield runs
        except BaseException:
            for run in runs:
                with suppress(DemoError):
                    self.call("cancel", run.message_id)
            deadline = time.monotonic() + 10
            for run in runs:
                with suppress(DemoError, OSError):
                    self.wait(run, seconds=deadline - time.monotonic())
            raise


@contextmanager
def running(
    arguments: Sequence[str], environment: dict[str, str], log: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program while the demo lasts."""
    with log.open("wb") as output:
        program = subprocess.Popen(
            arguments,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,  # Ctrl-C is ours to pass on, after the jobs are cancelled
        )
    try:
        yield program
    finally:
        stop(program)


def wait_until_ready(barbeque: Barbeque, program: subprocess.Popen[bytes], log: Path) -> None:
    """Return once the API says that it is ready."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if program.poll() is not None:
            raise DemoError(f"barbeque ended with exit code {program.returncode}", log)
        with suppress(OSError), urllib.request.urlopen(f"{barbeque.url}/readyz", timeout=5):
            return
        time.sleep(0.1)
    raise DemoError("barbeque is not ready after 60 s", log)


def ask_to_end(programs: Sequence[subprocess.Popen[bytes]]) -> None:
    """Ask them all at once, so that none waits for another's end."""
    for program in programs:
        program.terminate()


def stop(program: subprocess.Popen[bytes]) -> None:
    """End a program, and whatever is left of it."""
    program.terminate()
    with suppress(subprocess.TimeoutExpired):
        program.wait(20)
    with suppress(ProcessLookupError):
        os.killpg(program.pid, signal.SIGKILL)
    program.wait()


@contextmanager
def ending(followers: list[subprocess.Popen[str]]) -> Iterator[None]:
    """End the followers when the demo is stopped, so that nobody waits for their next line."""
    try:
        yield
    except BaseException:
        for follower in followers:
            follower.terminate()
        raise


def print_lines(run: Run, follower: subprocess.Popen[str], name: str) -> None:
    """Print one run's log as it comes, each line with the run's name."""
    with follower:
        for line in follower.stdout or ():
            run.lines.append(line.rstrip())
            console.print(f"{name} | {escape(line.rstrip())}")


def headline(text: str) -> None:
    """Print what comes next."""
    console.print(f"\n[bold]{text}[/]")


def shorten(text: str, width: int = 200) -> str:
    """Return the text, without its end where it is long."""
    return text if len(text) <= width else f"{text[:width]}…"


def print_files(files: Sequence[Path]) -> None:
    """Print every file with its size and dimensions."""
    table = Table("file", "size", "dimensions")
    for file in files:
        table.add_row(file.name, f"{file.stat().st_size / 1000:,.1f} kB", dimensions(file))
    console.print(table)


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


def require(facts: dict[str, bool]) -> None:
    """Raise `DemoError` with the sentences that do not hold."""
    if wrong := [sentence for sentence, holds in facts.items() if not holds]:
        raise DemoError("this does not hold: " + "; ".join(wrong))
