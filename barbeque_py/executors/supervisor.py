"""Supervise one attempt in process mode: its pipes, its deadline, its exit file.

Runs as `python -I -S supervisor.py FOLDER FD`, started by a worker that may die at any moment. It
imports nothing of ours and little of the standard library, because every attempt waits for it. The
folder's lock and its `started` mark make a second start impossible, whoever asks and whenever:

    lock -> nothing there -> program found -> `started` -> fork -> `child` -> exec -> `exit.json`

Signals: SIGUSR1 ends the job (SIGTERM, and SIGKILL after the grace period), SIGUSR2 kills it,
SIGTERM, INT or HUP from anybody else end it too, and its end is then called an interruption.
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
DRAIN = 2.0  # seconds for which pipes are read on after the job's main process has ended,
SILENCE = 0.2  # unless nothing has come for so long
PATIENCE = 30.0  # seconds for another supervisor of the same attempt to make up its mind

STOP = signal.SIGUSR1
KILL = signal.SIGUSR2
LISTENED = (STOP, KILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)
BOOT = "/proc/sys/kernel/random/boot_id"
DECIDED = {"started", "exit.json"}  # where one of these is, nothing is ever started again
# Faults of an exec that are the machine's, not the definition's.
PASSING = (errno.EAGAIN, errno.ENOMEM, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ETXTBSY)


class NeverStarted(Exception):
    """The command can't be started, by the definition's fault."""

    blame = True


class NotNow(NeverStarted):
    """The command can't be started, by the machine's fault."""

    blame = False


def boot() -> str:
    """Return what changes when the host boots."""
    return _text(BOOT) or _answer("sysctl", "-n", "kern.bootsessionuuid")


def namespace() -> str:
    """Return what changes when process ids begin to mean other processes."""
    with contextlib.suppress(OSError):
        return os.readlink("/proc/self/ns/pid").strip("pid:[]")
    return "host"


def start_time(pid: int) -> str:
    """Return when that process started, in words of this machine; empty when it is not alive."""
    if not os.path.exists("/proc/self/stat"):
        return _answer("ps", "-o", "lstart=", "-p", str(pid))
    state, *facts = _text(f"/proc/{pid}/stat").rpartition(")")[2].split() or ["Z"]
    return "" if state in "ZX" else facts[18]


def _text(path: str) -> str:
    gone = contextlib.suppress(FileNotFoundError, ProcessLookupError)
    with gone, open(path, encoding="utf-8", errors="replace") as file:
        return file.read().strip()
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
        head = stamp + self._whole
        return pieces + head + lines.replace(b"\n", b"\n" + head) + b"\n" if newline else pieces

    def last(self, stamp: bytes) -> bytes:
        """Return the line that was never finished, or nothing."""
        rest, self._rest = self._rest, b""
        return stamp + self._cut + rest + b"\n" if rest else b""


class Log:
    """The attempt's log file; what a full disk refuses is dropped, and said."""

    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._size = self._dropped = self._told = 0
        self._fault = ""

    def append(self, stored: bytes) -> None:
        """Write whole lines, or none of them."""
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
        lost = self._dropped - self._told
        words = b" - [%d bytes were lost here: %s]\n" % (lost, self._fault.encode())
        return now() + words if lost else b""


def now() -> bytes:
    """Return the time as log lines carry it."""
    seconds, nanoseconds = divmod(time.time_ns(), 1_000_000_000)
    day = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return b"%s.%06dZ" % (day.encode(), nanoseconds // 1000)


class Job:
    """The running job: pumps its pipes, ends it when it must end, and tells how it ended."""

    def __init__(self, pid: int, streams: list[Stream], signals: int, log: Log) -> None:
        self.pid = pid
        self._reason = "exited"
        self._log = log
        self._streams = {stream.pipe: stream for stream in streams}
        self._signals = signals
        self._kill_at: float | None = None
        self._interrupted = False
        self._poll = select.poll()
        for pipe in (*self._streams, signals):
            os.set_blocking(pipe, False)
            self._poll.register(pipe, select.POLLIN)

    def run(self, *, timeout: float, grace: float) -> dict[str, Any]:
        """Wait for the end; return how it came, with exit code 128 + n for signal n."""
        deadline = time.monotonic() + timeout
        while (code := ended(self.pid)) is None:
            self._turn(min(deadline, self._kill_at or deadline), grace)
            if self._reason == "exited" and time.monotonic() >= deadline:
                self._reason = "timed out"
                self._end(grace)
                deadline = float("inf")
        finished_at = time.time()
        self._drain()
        if self._interrupted and code and self._reason == "exited":
            self._reason = "interrupted"
        return {"reason": self._reason, "exit_code": code, "finished_at": finished_at}

    def _turn(self, until: float, grace: float) -> bool:
        """Pump what is there, or wait for something to happen; tell whether it did."""
        seconds = max(0.0, min(until - time.monotonic(), 3600.0))
        happened = self._poll.poll(seconds * 1000 + 1)
        for pipe, _ in happened:
            if pipe == self._signals:
                self._obey(os.read(pipe, 4096), grace)
            else:
                self._pump(self._streams[pipe])
        if self._kill_at is not None and time.monotonic() >= self._kill_at:
            self._kill_at = None
            self._signal(signal.SIGKILL)
        return bool(happened)

    def _obey(self, signals: bytes, grace: float) -> None:
        if KILL in signals:
            self._signal(signal.SIGKILL)
        elif STOP in signals:
            self._end(grace)
        elif set(signals) - {signal.SIGCHLD}:
            self._interrupted = True
            self._end(grace)

    def _end(self, grace: float) -> None:
        self._signal(signal.SIGTERM)
        if self._kill_at is None:
            self._kill_at = time.monotonic() + grace

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    def _pump(self, stream: Stream) -> bool:
        try:
            chunk = os.read(stream.pipe, LONGEST)
        except BlockingIOError:
            return False
        self._log.append(stream.stored(chunk, now()) if chunk else stream.last(now()))
        if not chunk:
            self._poll.unregister(stream.pipe)
            os.close(stream.pipe)
            del self._streams[stream.pipe]
        return bool(chunk)

    def _drain(self) -> None:
        """Read on for a moment, then end whatever the main process left behind."""
        end = time.monotonic() + DRAIN
        while self._streams and (moment := time.monotonic()) < end:
            if not self._turn(min(end, moment + SILENCE), DRAIN):
                break
        self._signal(signal.SIGKILL)
        for stream in list(self._streams.values()):
            all(self._pump(stream) for _ in range(16))  # all that a pipe can hold, but no more
            self._log.append(stream.last(now()))


def ended(pid: int) -> int | None:
    """Return the exit code; where it can be unreaped, so that nobody gets its group's number."""
    if hasattr(os, "waitid"):
        end = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        return end and end.si_status + 128 * (end.si_code != os.CLD_EXITED)
    done, status = os.waitpid(pid, os.WNOHANG)
    code = os.waitstatus_to_exitcode(status)
    return abs(code) + 128 * (code < 0) if done else None


def find(command: str, path: str) -> str:
    """Return the program to run; raises `NeverStarted` when there is none."""
    places = [place for place in path.split(":") if place.startswith("/")]
    found = [os.path.join(place, command) for place in places]
    for program in found:
        if os.path.isfile(program) and os.access(program, os.X_OK):
            return program
    fault = "not executable" if any(map(os.path.exists, found)) else "command not found"
    raise NeverStarted(f"{command}: {fault}")


def spawn(launch: dict[str, Any], program: str) -> tuple[int, list[Stream]]:
    """Start the job in a process group of its own; raises `NeverStarted`."""
    pipes = [os.pipe() for _ in range(3)]
    try:
        pid = os.fork()
    except OSError as no:
        raise NotNow(f"can't fork: {no.strerror}") from None
    if pid == 0:
        _become(launch, program, [write for _, write in pipes])
    for _, write in pipes:
        os.close(write)
    fault = os.read(pipes[2][0], 4096).decode()
    os.close(pipes[2][0])
    if fault:
        os.waitpid(pid, 0)
        raise (NotNow if fault[0] == "?" else NeverStarted)(fault[1:])
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
        for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
            signal.signal(number, signal.SIG_DFL)
        fault = "!"
        os.execve(program, launch["command"], launch["environment"])  # noqa: S606 - no shell: meant
    except (OSError, ValueError) as no:
        mark = "?" if getattr(no, "errno", None) in PASSING else fault
        words = f"{mark}{program}: {getattr(no, 'strerror', no)}"
        os.write(pipes[2], words.encode(errors="replace"))
    finally:
        os._exit(127)


def listen() -> int:
    """Take signals from now on; return the pipe in which their numbers arrive."""
    read, write_end = os.pipe()
    os.set_blocking(write_end, False)
    signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
    for number in LISTENED:
        signal.signal(number, lambda *_: None)
    return read


def write(name: str, facts: dict[str, Any]) -> None:
    """Write a file of the folder, all or nothing, and see it safe on the disk."""
    with open(os.open(f"{name}.new", os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file:
        file.write(json.dumps(facts).encode())
        file.truncate()
        file.flush()
        os.fsync(file)
    os.rename(f"{name}.new", name)


def win() -> bool:
    """Tell whether the start is ours, for as long as we live; else it was decided before."""
    lock = os.open("lock", os.O_RDWR)
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and not DECIDED & set(os.listdir()):
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.005)
        else:
            return not DECIDED & set(os.listdir())
    return False


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
    with open("exit.json.new", "wb") as file:
        file.write(b" " * 4096)  # taken now, so that a full disk does not swallow the end
    log = Log("log")
    try:
        job, started_at = start(launch, log)
    except NeverStarted as no:
        write("exit.json", {"reason": "never started", "detail": str(no), "blame": no.blame})
    else:
        os.close(report)
        end = job.run(timeout=launch["timeout"], grace=launch["grace"])
        write("exit.json", {**end, "started_at": started_at, "log_error": log.error()})
    tell(os.path.basename(folder))


def start(launch: dict[str, Any], log: Log) -> tuple[Job, float]:
    """Start the job, behind the mark that keeps anybody from starting it again."""
    program = find(launch["command"][0], launch["environment"]["PATH"])
    signals = listen()  # before the mark, which tells others where to send them
    me = os.getpid()
    mark = {"pid": me, "start": start_time(me), "boot": boot(), "namespace": namespace()}
    write("started", mark | {"started_at": (started_at := time.time())})
    return Job(*spawn(launch, program), signals, log), started_at


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
