"""The folder of one attempt in process mode: what it keeps, and what it tells of the attempt."""

import contextlib
import fcntl
import json
import os
import shutil
import signal
import stat
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from barbeque_py.executor import Launch, Sighting, Standing
from barbeque_py.executors import supervisor
from barbeque_py.outcomes import Fate, Reason
from barbeque_py.reports import PROGRESS_LIMIT, RESULT_LIMIT, Report, read_files


@cache
def here() -> tuple[str, str]:
    """Return the boot of this host, and the namespace in which its process ids mean something."""
    return supervisor.boot(), supervisor.namespace()


class Folder:
    """What one attempt left on the disk. Every call may raise `OSError`.

    `launch.json`, `message.json`, `lock` and `work/` are there from the first moment on, the rest
    is its supervisor's: `log`, `started`, `child`, `exit.json`, and `fault` when it broke; or the
    job's own: `progress`, `result.json`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def make(self, launch: Launch, message: str) -> None:
        """Make the folder with all that a supervisor needs; a no-op when it is there."""
        if self.path.is_dir():
            return
        new = self.path.with_name(f".new-{uuid.uuid4().hex}")
        new.mkdir(mode=0o700)
        (new / "work").mkdir()
        (new / "lock").touch()
        (new / "message.json").write_text(message, encoding="utf-8")
        environment = {
            **launch.environment,
            "BARBEQUE_MESSAGE_URL": (self.path / "message.json").as_uri(),
            "BARBEQUE_PROGRESS_FILE": str(self.path / "progress"),
            "BARBEQUE_RESULT_FILE": str(self.path / "result.json"),
        }
        (new / "launch.json").write_text(replace(launch, environment=environment).to_json())
        try:
            new.rename(self.path)
        except FileExistsError:
            shutil.rmtree(new)
        except OSError:
            shutil.rmtree(new)
            if not self.path.is_dir():
                raise

    def sighting(self) -> Sighting:
        """Tell where the attempt stands."""
        if ended := self._ended():
            return ended
        mark = self._read("started")
        if mark is None:
            standing = Standing.CREATED if self.path.is_dir() else Standing.ABSENT
            return Sighting(standing)
        handle = f"{mark['pid']}:{mark['start']}"
        if self._lives(mark):
            return Sighting(Standing.RUNNING, handle, started_at=mark["started_at"])
        # The end may have been written since it was looked for.
        return self._ended() or Sighting(
            Standing.ENDED, handle, _lost(mark), started_at=mark["started_at"]
        )

    def report(self, *, ended: bool) -> Report | None:
        """Return what the job has told in its files; its result only when it has ended."""
        progress = self._taste("progress", PROGRESS_LIMIT)
        return read_files(progress, self._taste("result.json", RESULT_LIMIT) if ended else None)

    def signal(self, *, kill: bool) -> None:
        """Tell the supervisor to end the job, or the job itself when that one is gone."""
        mark, child = self._read("started"), self._read("child")
        if mark is None or not _is_here(mark) or self._has_ended():
            return
        number = supervisor.KILL if kill else supervisor.STOP
        if _send(mark, lambda: os.kill(mark["pid"], number)) or child is None:
            return
        number = signal.SIGKILL if kill else signal.SIGTERM
        _send(child, lambda: os.killpg(child["pid"], number))

    def remove(self) -> None:
        """Forget the attempt at once, by a new name, then delete; not while it may still run."""
        gone = self.path.with_name(f".gone-{uuid.uuid4().hex}")
        runs = self.sighting().standing is Standing.RUNNING
        with contextlib.suppress(FileNotFoundError), self._locked() as ours:
            if self._has_ended() or (ours and not runs):
                self.path.rename(gone)
        delete(gone)

    def fault(self) -> str:
        """Return what kept the supervisor from its work, as far as it could tell."""
        return str((self._read("fault") or {}).get("fault", "the supervisor did not start"))

    def _has_ended(self) -> bool:
        return (self.path / "exit.json").exists()

    def _ended(self) -> Sighting | None:
        end = self._read("exit.json")
        if end is None:
            return None
        mark = self._read("started")
        handle = f"{mark['pid']}:{mark['start']}" if mark else ""
        return Sighting(Standing.ENDED, handle, _fate(end), started_at=end.get("started_at"))

    def _lives(self, mark: dict[str, Any]) -> bool:
        if _is_here(mark):
            child = self._read("child")
            return _is_alive(mark) or (child is not None and _is_alive(child))
        if mark["boot"] != here()[0]:
            return False
        with self._locked() as ours:  # in another container, whose processes have other numbers
            return not ours

    @contextlib.contextmanager
    def _locked(self) -> Iterator[bool]:
        """Hold the supervisor's lock; yields False when the supervisor holds it."""
        with (self.path / "lock").open("rb") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
            else:
                yield True

    def _taste(self, name: str, limit: int) -> bytes | None:
        """Return a file of the job's up to a byte behind the limit, None where it is no file."""
        try:
            found = os.open(self.path / name, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
        except OSError:
            return None
        try:
            regular = stat.S_ISREG(os.fstat(found).st_mode)
            return os.read(found, limit + 1) if regular else None
        finally:
            os.close(found)

    def _read(self, name: str) -> dict[str, Any] | None:
        try:
            facts: dict[str, Any] = json.loads((self.path / name).read_bytes())
        except FileNotFoundError:
            return None
        return facts


def delete(path: Path) -> None:
    """Delete the folder, also what a job made unwritable; what is left is left."""

    def open_up(_: object, name: str, __: object) -> None:
        with contextlib.suppress(OSError):
            Path(name).parent.chmod(0o700)
            Path(name).chmod(0o700)
            shutil.rmtree(name) if Path(name).is_dir() else Path(name).unlink()

    shutil.rmtree(path, onerror=open_up)


def _is_here(mark: dict[str, Any]) -> bool:
    return (mark["boot"], mark["namespace"]) == here()


def _is_alive(process: dict[str, Any]) -> bool:
    return bool(supervisor.start_time(process["pid"]) == process["start"])


def _send(process: dict[str, Any], send: Callable[[], None]) -> bool:
    """Signal the process if it is alive and still the one that is meant."""
    with contextlib.suppress(ProcessLookupError):
        if _is_alive(process):
            send()
            return True
    return False


def _lost(mark: dict[str, Any]) -> Fate:
    started_at = _instant(mark["started_at"])
    if _is_here(mark):
        detail = "its supervisor was killed, and the job ended unobserved"
        return Fate(Reason.VANISHED, detail=detail, started_at=started_at)
    detail = "the host or its container was restarted"
    return Fate(Reason.INTERRUPTED, detail=detail, started_at=started_at)


def _fate(end: dict[str, Any]) -> Fate:
    code = end.get("exit_code")
    return Fate(
        Reason(end["reason"]),
        code,
        end.get("detail") or end.get("log_error") or "",
        _instant(end.get("started_at")),
        _instant(end.get("finished_at")),
        blame_definition=end.get("blame", True),
    )


def _instant(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
