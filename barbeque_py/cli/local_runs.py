"""Runs what an attempt ran, here: in a container of this machine's engine, or as a process."""

import contextlib
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from barbeque_py import clock
from barbeque_py.cli.exits import Code, Failure
from barbeque_py.executor import Launch

_INLINE = 96 * 1024
"""Characters of a message that a variable may hold."""
_OF_PEOPLE = ("PATH", "HOME", "LANG", "TZ")
_VCPU = 1024
_INSIDE = "/barbeque"


@dataclass(frozen=True, slots=True)
class _Run:
    words: list[str]
    variables: Mapping[str, str]
    quiet: bool
    """Whether standard output is for somebody else."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How it ended, and what it told as its result."""

    exit_code: int
    seconds: float
    timed_out: bool
    result: str | None


def engine_answers(environment: Mapping[str, str]) -> bool:
    """Tell whether there is a `docker` that reaches an engine."""
    docker = shutil.which("docker", path=environment.get("PATH"))
    if docker is None:
        return False
    asked = [docker, "version", "--format", "{{.Server.Version}}"]
    try:
        ended = subprocess.run(
            asked, env=dict(environment), capture_output=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return ended.returncode == 0


def run_in_docker(
    launch: Launch, message: str, environment: Mapping[str, str], *, quiet: bool
) -> Ended:
    """Run it in a container that is gone afterwards and bears none of our names or labels."""
    docker = shutil.which("docker", path=environment.get("PATH"))
    if docker is None:
        raise Failure("there is no `docker` here: install it, or say --process", Code.UNREACHABLE)
    name = f"exec-local-{secrets.token_hex(6)}"
    with _folder(message) as folder:
        variables = _variables(launch, message, folder=Path(_INSIDE))
        wish = [docker, "run", "--rm", "--name", name, *_limits(launch)]
        wish += ["--volume", f"{folder}:{_INSIDE}"]
        wish += [word for each in sorted(variables) for word in ("--env", each)]
        wish += [launch.image, *launch.command]
        stop = [docker, "stop", "--time", str(int(launch.grace)), name]

        def end(_: subprocess.Popen[bytes]) -> None:
            subprocess.run(stop, env=dict(environment), capture_output=True, check=False)

        run = _Run(wish, {**environment, **variables}, quiet)
        return _watch(run, launch, folder, end)


def run_as_process(
    launch: Launch, message: str, environment: Mapping[str, str], *, quiet: bool
) -> Ended:
    """Run it as a process of this user, with nothing of this shell but where things are."""
    base = {name: environment[name] for name in _OF_PEOPLE if name in environment}
    with _folder(message) as folder:
        variables = base | _variables(launch, message, folder=folder)
        variables["PATH"] = ":".join((*launch.path, variables.get("PATH", os.defpath)))
        command = shutil.which(launch.command[0], path=variables["PATH"])
        if command is None:
            raise Failure(
                f"the command {launch.command[0]!r} is not found in {variables['PATH']}: "
                "run this where it is, or say --docker",
                Code.NOT_FOUND,
            )

        def end(running: subprocess.Popen[bytes]) -> None:
            running.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                running.wait(launch.grace)
            running.kill()

        run = _Run([command, *launch.command[1:]], variables, quiet)
        return _watch(run, launch, folder, end)


def _limits(launch: Launch) -> list[str]:
    """Return the limits that a worker's container has."""
    memory = f"{launch.memory}m"
    cpus = max(0.01, min(launch.cpu / _VCPU, float(os.cpu_count() or 1)))
    words = ["--memory", memory, "--memory-swap", memory, "--cpus", f"{cpus:g}"]
    words += ["--pids-limit", str(launch.pids), "--network", launch.network]
    words += ["--security-opt", "no-new-privileges", "--cap-drop", "ALL"]
    return words + [word for each in launch.capabilities for word in ("--cap-add", each)]


def _variables(launch: Launch, message: str, *, folder: Path) -> dict[str, str]:
    given = {
        **launch.environment,
        "BARBEQUE_MESSAGE_URL": f"file://{folder}/message.json",
        "BARBEQUE_PROGRESS_FILE": f"{folder}/progress",
        "BARBEQUE_RESULT_FILE": f"{folder}/result",
    }
    return given | ({"BARBEQUE_MESSAGE": message} if len(message) <= _INLINE else {})


@contextmanager
def _folder(message: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(
        prefix="barbeque-local-", ignore_cleanup_errors=True
    ) as folder:
        Path(folder, "message.json").write_text(message)
        for name in ("progress", "result"):  # a user of the image may be another than ours
            Path(folder, name).touch()
            Path(folder, name).chmod(0o666)
        Path(folder).chmod(0o755)
        yield Path(folder)


def _watch(
    run: _Run, launch: Launch, folder: Path, end: Callable[[subprocess.Popen[bytes]], None]
) -> Ended:
    """Run it until it ends, its time is over, or somebody presses Ctrl-C."""
    began, timed_out = clock.monotonic(), False
    output = sys.stderr if run.quiet else None
    with subprocess.Popen(run.words, env=dict(run.variables), stdout=output) as running:
        try:
            running.wait(launch.timeout)
        except subprocess.TimeoutExpired:
            timed_out = True
            end(running)
        except KeyboardInterrupt:
            end(running)
            raise
        code = running.wait()
    told = Path(folder, "result").read_text(errors="replace").strip()
    return Ended(code, clock.monotonic() - began, timed_out, told or None)
