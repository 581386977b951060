"""Supervise one attempt in process mode: its pipes, its deadline, its exit file.

Runs as `python -I -S supervisor.py FOLDER FD`, started by a worker that may die at any moment. It
imports nothing of ours and little of the standard library, because every attempt waits for it. The
folder's lock and its `started` mark make a second start impossible, whoever asks and whenever:

    lock -> nothing there -> program found -> `started` -> fork -> `child` -> exec -> `exit.json`

Signals: SIGUSR1 ends the job (SIGTERM, and SIGKILL after the grace period), SIGUSR2 kills it,
SIGTERM from anybody else ends it too, and its end is then called an interruption.
"""

# ruff: noqa: PTH104, PTH108, PTH110, PTH113, PTH115, PTH118, PTH119, PTH123, PTH208 - pathlib loads slowly
from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import select
import signal
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:  # typing itself loads slowly
    from typing import Any, NoReturn

LONGEST = 64 * 1024  # bytes of a line, and of one read, after which a piece of it is stored
DRAIN = 2.0  # seconds for which pipes are read on after the job's main process has ended
PATIENCE = 30.0  # seconds for another supervisor of the same attempt to make up its mind
RESERVE = 4096  # bytes kept for the exit file, so that a full disk does not swallow the end

STOP = signal.SIGUSR1
KILL = signal.SIGUSR2
LISTENED = (STOP, KILL, signal.SIGTERM, signal.SIGCHLD)
IGNORED = (signal.SIGINT, signal.SIGHUP)
PASSING = (errno.EAGAIN, errno.ENOMEM, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ETXTBSY)
"""Faults of an exec that are the machine's, not the definition's."""


class NeverStarted(Exception):  # noqa: N818 - reads as the fact it states
    """The command can't be started; `blame` tells whether the definition is at fault."""

    def __init__(self, detail: str, *, blame: bool) -> None:
        super().__init__(detail)
        self.detail = detail
        self.blame = blame


def boot() -> str:
    """Return what changes when the host boots."""
    return _text("/proc/sys/kernel/random/boot_id") or _answer(
        "sysctl", "-n", "kern.bootsessionuuid"
    )


def namespace() -> str:
    """Return what changes when process ids begin to mean other processes."""
    try:
        return os.readlink("/proc/self/ns/pid").strip("pid:[]")
    except OSError:
        return "host"


def start_time(pid: int) -> str:
    """Return when that process started, in words of this machine; empty when it is not alive."""
    if not os.path.exists("/proc/self/stat"):
        return _answer("ps", "-o", "lstart=", "-p", str(pid))
    state, *facts = _text(f"/proc/{pid}/stat").rpartition(")")[2].split() or ["Z"]
    return "" if state in "ZX" else facts[18]


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def _answer(*command: str) -> str:
    import subprocess  # noqa: PLC0415 - slow to load, and only macOS needs it

    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


class Stream:
    """One pipe of the job: turns what arrives into stored lines, and keeps an unfinished one."""

    def __init__(self, name: bytes, pipe: int) -> None:
        self.pipe = pipe
        self._whole = b" " + name + b" "
        self._cut = b" " + name + b"+ "
        self._rest = b""

    def stored(self, chunk: bytes, stamp: bytes) -> bytes:
        """Return the lines that are complete with this chunk, as they are stored."""
        text = self._rest + chunk
        pieces = b""
        while text.find(b"\n", 0, LONGEST + 1) < 0 and len(text) > LONGEST:
            pieces += stamp + self._cut + text[:LONGEST] + b"\n"
            text = text[LONGEST:]
        lines, newline, self._rest = text.rpartition(b"\n")
        if not newline:
            return pieces
        head = stamp + self._whole
        return pieces + head + lines.replace(b"\n", b"\n" + head) + b"\n"

    def last(self, stamp: bytes) -> bytes:
        """Return the line that was never finished, or nothing."""
        rest, self._rest = self._rest, b""
        return stamp + self._cut + rest + b"\n" if rest else b""


class Log:
    """The attempt's log file; what a full disk refuses is dropped, and said."""

    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._size = 0
        self._dropped = 0
        self._told = 0
        self._fault = ""

    def append(self, stored: bytes) -> None:
        """Write whole lines, or none of them."""
        if not stored:
            return
        text = self._apology() + stored
        try:
            rest = memoryview(text)
            while rest:
                rest = rest[os.write(self._file, rest) :]
        except OSError as fault:
            self._fault = os.strerror(fault.errno or errno.EIO)
            self._dropped += len(stored)
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, self._size)
        else:
            self._size += len(text)
            self._told = self._dropped

    def error(self) -> str:
        """Return what was lost and why; empty when nothing was."""
        return f"{self._dropped} bytes of its log were lost: {self._fault}" if self._dropped else ""

    def _apology(self) -> bytes:
        if self._dropped == self._told:
            return b""
        lost = self._dropped - self._told
        return now() + b" - [%d bytes were lost here: %s]\n" % (lost, self._fault.encode())


def now() -> bytes:
    """Return the time as log lines carry it."""
    seconds, nanoseconds = divmod(time.time_ns(), 1_000_000_000)
    day = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return b"%s.%06dZ" % (day.encode(), nanoseconds // 1000)


class Job:
    """The running job: pumps its pipes, ends it when it must end, and tells how it ended."""

    def __init__(
        self, pid: int, streams: list[Stream], signals: int, log: Log, started_at: float
    ) -> None:
        self.pid = pid
        self.started_at = started_at
        self.reason = "exited"
        self._log = log
        self._streams = {stream.pipe: stream for stream in streams}
        self._poll = select.poll()
        self._kill_at: float | None = None
        self._interrupted = False
        self._signals = signals
        for pipe in (*self._streams, self._signals):
            os.set_blocking(pipe, False)
            self._poll.register(pipe, select.POLLIN)

    def run(self, *, timeout: float, grace: float) -> tuple[int, float]:
        """Wait for the end; return the exit code (128 + n for signal n) and the time of it."""
        deadline = time.monotonic() + timeout
        while (end := _ended(self.pid)) is None:
            self._turn(min(deadline, self._kill_at or deadline), grace)
            if self.reason == "exited" and time.monotonic() >= deadline:
                self.reason = "timed out"
                self._end(grace)
                deadline = float("inf")
        finished = time.time()
        self._drain()
        os.waitpid(self.pid, 0)
        code = end.si_status + (0 if end.si_code == os.CLD_EXITED else 128)
        if self._interrupted and code and self.reason == "exited":
            self.reason = "interrupted"
        return code, finished

    def _turn(self, until: float, grace: float) -> None:
        """Pump what is there, or wait for something to happen."""
        seconds = max(0.0, min(until - time.monotonic(), 3600.0))
        for pipe, _ in self._poll.poll(seconds * 1000 + 1):
            if pipe == self._signals:
                self._obey(os.read(pipe, 4096), grace)
            else:
                self._pump(self._streams[pipe])
        if self._kill_at is not None and time.monotonic() >= self._kill_at:
            self._kill_at = None
            self._signal(signal.SIGKILL)

    def _obey(self, signals: bytes, grace: float) -> None:
        if KILL in signals:
            self._signal(signal.SIGKILL)
        elif STOP in signals:
            self._end(grace)
        elif signal.SIGTERM in signals:
            self._interrupted = True
            self._end(grace)

    def _end(self, grace: float) -> None:
        self._signal(signal.SIGTERM)
        if self._kill_at is None:
            self._kill_at = time.monotonic() + grace

    def _signal(self, number: int) -> None:
        # The main process is not reaped before the end, so its group is still its own.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    def _pump(self, stream: Stream) -> bool:
        try:
            chunk = os.read(stream.pipe, LONGEST)
        except BlockingIOError:
            return False
        if chunk:
            self._log.append(stream.stored(chunk, now()))
            return True
        self._poll.unregister(stream.pipe)
        os.close(stream.pipe)
        del self._streams[stream.pipe]
        self._log.append(stream.last(now()))
        return False

    def _drain(self) -> None:
        """Read on for a moment, then end whatever the main process left behind."""
        end = time.monotonic() + DRAIN
        while self._streams and time.monotonic() < end:
            self._turn(end, DRAIN)
        self._signal(signal.SIGKILL)
        for stream in list(self._streams.values()):
            full_pipe = range(1024 * 1024 // LONGEST)
            all(self._pump(stream) for _ in full_pipe)
            self._log.append(stream.last(now()))


def _ended(pid: int) -> os.waitid_result | None:
    """Return how the process ended, and leave it unreaped, so that nobody gets its number."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)


def find(command: str, path: str) -> str:
    """Return the program to run; raises `NeverStarted` when there is none."""
    places = [place for place in path.split(":") if place.startswith("/")]
    found = [os.path.join(place, command) for place in places]
    for program in found:
        if os.path.isfile(program) and os.access(program, os.X_OK):
            return program
    fault = "not executable" if any(map(os.path.exists, found)) else "command not found"
    raise NeverStarted(f"{command}: {fault}", blame=True)


def spawn(launch: dict[str, Any], program: str) -> tuple[int, list[Stream]]:
    """Start the job in a process group of its own; raises `NeverStarted`."""
    pipes = [os.pipe() for _ in range(3)]
    try:
        pid = os.fork()
    except OSError as no:
        raise NeverStarted(f"can't fork: {no.strerror}", blame=False) from None
    if pid == 0:
        _become(launch, program, [write for _, write in pipes])
    for _, write in pipes:
        os.close(write)
    fault = os.read(pipes[2][0], 4096).decode()
    os.close(pipes[2][0])
    if fault:
        os.waitpid(pid, 0)
        raise NeverStarted(fault[1:], blame=fault[0] == "!")
    return pid, [Stream(b"out", pipes[0][0]), Stream(b"err", pipes[1][0])]


def _become(launch: dict[str, Any], program: str, pipes: list[int]) -> NoReturn:
    """Turn this process into the job; what goes wrong is written to the third pipe."""
    fault = "?"
    try:
        os.setpgid(0, 0)
        # Before the exec: who finds the mark but no supervisor must be able to find the job.
        write("child", {"pid": os.getpid(), "start": start_time(os.getpid())})
        os.chdir("work")
        for number, pipe in enumerate((os.open(os.devnull, os.O_RDONLY), *pipes[:2])):
            os.dup2(pipe, number)
        for number in (*LISTENED, *IGNORED, signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_DFL)
        fault = "!"
        os.execve(program, launch["command"], launch["environment"])  # noqa: S606 - no shell: meant
    except OSError as no:
        mark = "?" if no.errno in PASSING else fault
        os.write(pipes[2], f"{mark}{program}: {no.strerror}".encode(errors="replace"))
    except ValueError as no:
        os.write(pipes[2], f"!{program}: {no}".encode(errors="replace"))
    finally:
        os._exit(127)


def listen() -> int:
    """Take signals from now on; return the pipe in which their numbers arrive."""
    read, write_end = os.pipe()
    os.set_blocking(write_end, False)
    signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
    for number in LISTENED:
        signal.signal(number, lambda *_: None)
    for number in IGNORED:
        signal.signal(number, signal.SIG_IGN)
    return read


def write(name: str, facts: dict[str, Any]) -> None:
    """Write a file of the folder, all or nothing, and see it safe on the disk."""
    text = json.dumps(facts).encode()
    file = os.open(f"{name}.new", os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        os.pwrite(file, text, 0)
        os.ftruncate(file, len(text))
        os.fsync(file)
    finally:
        os.close(file)
    os.rename(f"{name}.new", name)


def reserve(name: str) -> None:
    """Take the disk space now that `write` will need when the disk may be full."""
    file = os.open(f"{name}.new", os.O_WRONLY | os.O_CREAT, 0o600)
    os.write(file, b" " * RESERVE)
    os.close(file)


def win() -> bool:
    """Tell whether the start is ours, for as long as we live; else it was decided before."""
    lock = os.open("lock", os.O_RDWR)
    end = time.monotonic() + PATIENCE
    while not _decided() and time.monotonic() < end:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.005)
        else:
            return not _decided()
    return False


def _decided() -> bool:
    return os.path.exists("started") or os.path.exists("exit.json")


def tell(attempt: str) -> None:
    """Tell every listening worker that the attempt has ended; a hint, so nothing is retried."""
    import socket  # noqa: PLC0415 - slow to load, and the job need not wait for it

    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as mouth:
        mouth.settimeout(1.0)
        os.chdir("../.watch")  # a socket's path may have 108 bytes only
        for ear in os.listdir():
            try:
                mouth.sendto(attempt.encode(), ear)
            except ConnectionRefusedError:
                os.unlink(ear)
            except OSError:
                continue


def supervise(folder: str, report: int) -> None:
    """Run the attempt, unless it was started before."""
    os.chdir(folder)
    if not win():
        return
    # By its full name, which is gone when the attempt was forgotten before the lock was ours.
    with open(f"{folder}/launch.json", encoding="utf-8") as file:
        launch = json.load(file)
    reserve("exit.json")
    log = Log("log")
    try:
        job = start(launch, log)
    except NeverStarted as no:
        write("exit.json", {"reason": "never started", "detail": no.detail, "blame": no.blame})
    else:
        os.close(report)
        code, finished_at = job.run(timeout=launch["timeout"], grace=launch["grace"])
        end = {"reason": job.reason, "exit_code": code, "log_error": log.error()}
        write("exit.json", end | {"started_at": job.started_at, "finished_at": finished_at})
    tell(os.path.basename(folder))


def start(launch: dict[str, Any], log: Log) -> Job:
    """Start the job, behind the mark that keeps anybody from starting it again."""
    program = find(launch["command"][0], launch["environment"]["PATH"])
    signals = listen()  # before the mark, which tells others where to send them
    me = os.getpid()
    mark = {"pid": me, "start": start_time(me), "boot": boot(), "namespace": namespace()}
    started_at = time.time()
    write("started", mark | {"started_at": started_at})
    pid, streams = spawn(launch, program)
    return Job(pid, streams, signals, log, started_at)


def main(folder: str, report: int) -> None:
    """Leave the worker, then supervise; what goes wrong is left in the folder."""
    if os.fork():
        os._exit(0)  # so that the worker has no child to wait for
    os.set_inheritable(report, False)  # noqa: FBT003 - takes no keywords
    try:
        supervise(folder, report)
    except Exception as fault:  # noqa: BLE001 - nobody else could tell of it
        with contextlib.suppress(OSError):
            write("fault", {"fault": f"{type(fault).__name__}: {fault}"})


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
