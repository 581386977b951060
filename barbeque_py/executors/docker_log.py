"""A container's log as the Docker engine keeps it, turned into stored lines."""

from collections.abc import Iterator
from datetime import datetime
from struct import Struct
from threading import Event

from barbeque_py import clock
from barbeque_py.errors import ExecutorUnavailable, NoSuchLog
from barbeque_py.executors.engine import Engine

LONGEST = 64 * 1024
"""Bytes of text in one stored line; longer lines come in pieces."""

_FRAME = Struct(">BxxxI")
_STAMP = len("2026-11-21T20:00:00.123456789Z")
_LONGEST_FRAME = 16 * 1024 * 1024
_RECORD = 16 * 1024
"""Bytes of text in the engine's longest record. A longer line is several records, and the last
one, which is shorter, ends it: Docker 20.10's driver `local` loses the newline there. So a log
that ends in such a line without a newline reads as if it had one; its text is whole."""

_NEWLINE = ord("\n")
_NAMES = {1: b"out", 2: b"err"}
_MARKS = {1: b" out ", 2: b" err "}
_OK, _NOT_FOUND = 200, 404
_TRIES = 3
_PAUSE = 0.5


class DockerLog:
    """The log of one container, from its first line on."""

    def __init__(self, engine: Engine, container: str) -> None:
        self._engine = engine
        self._container = container

    def batches(self, *, follow: bool) -> Iterator[list[bytes]]:
        """Yield the stored lines, as `barbeque_py.logs.LogSource` promises.

        Where the engine fails to read its own copy (a crash or a full disk broke it), reading
        starts over behind the lines it gave; after some tries a last line says what was lost.
        """
        given = 0
        for _ in range(_TRIES):
            skip, frames = given, Frames()
            for lines in self._read(frames, follow=follow):
                fresh = lines[skip:]
                skip -= len(lines) - len(fresh)
                given += len(fresh)
                if fresh or follow:
                    yield fresh
            if not frames.fault:
                return
            Event().wait(_PAUSE)
        notice = f"[The Docker engine can't read the rest of this log: {frames.fault}]"
        yield [f"{clock.rfc3339(clock.now())} - {notice}".encode()]

    def _read(self, frames: "Frames", *, follow: bool) -> Iterator[list[bytes]]:
        """Read the log once, from the first line to its end or to a fault of the engine."""
        yield from self._take(frames, follow=follow)
        if follow and not frames.fault and not self._has_all(frames):
            yield from self._take(frames, follow=False)
        if not frames.fault:
            yield frames.rest()

    def _has_all(self, frames: "Frames") -> bool:
        """Tell whether the log ends with the record that was read last.

        Docker 20.10 often ends a followed log before its last records, though it has them.
        """
        answer = self._engine.call("GET", f"{self._path(follow=False)}&tail=1")
        return answer.body == frames.last and not frames.is_open()

    def _take(self, frames: "Frames", *, follow: bool) -> Iterator[list[bytes]]:
        """Feed the frames what they have not taken yet."""
        skip = frames.begin()
        silence = 1.0 if follow else self._engine.timeout
        with self._engine.stream("GET", self._path(follow=follow), silence=silence) as stream:
            if stream.status == _NOT_FOUND:
                raise NoSuchLog(f"The container {self._container} is gone, and its log with it")
            if stream.status != _OK:
                raise self._engine.unavailable(f"a log answered {stream.status}")
            while not stream.complete and not frames.fault:
                pieces = stream.read()
                if pieces is None and not follow:
                    raise self._engine.unavailable(TimeoutError())
                text = b"".join(pieces or ())
                yield frames.lines(text[skip:])
                skip = max(0, skip - len(text))

    def _path(self, *, follow: bool) -> str:
        query = f"stdout=1&stderr=1&timestamps=1&follow={int(follow)}"
        return f"/containers/{self._container}/logs?{query}"


class Frames:
    """Joins the engine's frames into lines; holds one frame and one line a stream at most."""

    def __init__(self) -> None:
        self.fault = ""
        """The engine's words when it failed to read its copy; nothing behind them counts."""
        self.last = b""
        """The last frame that was taken, whole."""
        self._taken = 0
        self._unread = b""
        self._open: dict[int, tuple[bytes, bytes]] = {}

    def begin(self) -> int:
        """Expect the log from its first byte on; return how many bytes of it are taken already."""
        self._unread = b""
        return self._taken

    def is_open(self) -> bool:
        """Tell whether a line is waiting for its end."""
        return bool(self._open)

    def lines(self, text: bytes) -> list[bytes]:
        """Return the lines that end in this part of the engine's answer."""
        buffer = self._unread + text
        lines: list[bytes] = []
        start, last, size = 0, 0, len(buffer)
        unfinished = self._open
        while start + 8 <= size and not self.fault:
            stream, length = _FRAME.unpack_from(buffer, start)
            end = start + 8 + length
            if end > size:
                _refuse_frame(stream, length)
                break
            space = start + 8 + _STAMP
            if (
                stream not in unfinished
                and stream in _MARKS
                and length <= LONGEST
                and buffer[space - 1 : space + 1] == b"Z "
                and buffer[end - 1] == _NEWLINE
            ):  # nearly every frame is a whole line, and this is the fastest way through
                lines.append(
                    buffer[start + 8 : space] + _MARKS[stream] + buffer[space + 1 : end - 1]
                )
            else:
                lines += self._join(stream, buffer[start + 8 : end])
            last, start = start, end
        if start:
            self.last = buffer[last:start]
        self._taken += start
        self._unread = buffer[start:]
        return lines

    def rest(self) -> list[bytes]:
        """Return what was written without a newline at the end."""
        if self._unread:
            raise ExecutorUnavailable("The Docker engine ended a log in the middle of a frame")
        unfinished = [_line(stamp, key, b"+", text) for key, (stamp, text) in self._open.items()]
        self._open.clear()
        return unfinished

    def _join(self, stream: int, record: bytes) -> list[bytes]:
        """Add a record to the stream's open line; return the lines that are ready by it."""
        if stream not in _NAMES:
            self.fault = record.decode(errors="replace").strip()
            return []
        raw, _, text = record.partition(b" ")
        stamp, before = self._open.pop(stream, (_normal(raw), b""))
        ended = text.endswith(b"\n") or (before != b"" and len(text) < _RECORD)
        text = before + text.removesuffix(b"\n")
        ready = []
        while len(text) > LONGEST:
            ready.append(_line(stamp, stream, b"+", text[:LONGEST]))
            text = text[LONGEST:]
        if ended:
            ready.append(_line(stamp, stream, b"", text))
        elif text:
            self._open[stream] = (stamp, text)
        return ready


def _line(stamp: bytes, stream: int, mark: bytes, text: bytes) -> bytes:
    return b"%b %b%b %b" % (stamp, _NAMES[stream], mark, text)


def _normal(stamp: bytes) -> bytes:
    """Return the engine's time as UTC; all engines seen write nine digits and Z already."""
    if len(stamp) == _STAMP and stamp.endswith(b"Z"):
        return stamp
    return clock.rfc3339(datetime.fromisoformat(stamp.decode())).encode()


def _refuse_frame(stream: int, length: int) -> None:
    """Stop at what can't be a frame before it fills the memory."""
    if length > _LONGEST_FRAME or stream > 3:  # noqa: PLR2004 - stdin to system errors
        raise ExecutorUnavailable("The Docker engine sent a log that is not in frames")
