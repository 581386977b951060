"""Log stores for tests, and logs to put in them."""

from collections.abc import Callable, Iterable, Iterator
from itertools import cycle

from barbeque_py.errors import ExecutorUnavailable, LogStoreUnavailable, NoSuchLog
from barbeque_py.logstore import LogStore

PREFIX = "media/Encode/0199f3a0-0000-7000-8000-000000000001/1/"


class MemoryLogStore:
    """A log store that keeps its objects in memory."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}

    def put(self, key: str, chunks: Iterable[bytes]) -> int:
        self.objects[_checked(key)] = b"".join(chunks)
        return len(self.objects[key])

    def read(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        try:
            data = self.objects[_checked(key)]
        except KeyError:
            raise NoSuchLog(key) from None
        return data[start:] if length is None else data[start : start + length]

    def names(self, prefix: str) -> list[str]:
        return sorted(key for key in self.objects if key.startswith(prefix))

    def remove(self, keys: Iterable[str]) -> None:
        for key in keys:
            self.objects.pop(_checked(key), None)


class WatchedLogStore:
    """Passes every call on to a store, after `before` has seen its name and first argument."""

    def __init__(self, store: LogStore, before: Callable[[str, str], None]) -> None:
        self._store = store
        self._before = before
        self.bytes_read = 0

    def put(self, key: str, chunks: Iterable[bytes]) -> int:
        self._before("put", key)
        return self._store.put(key, chunks)

    def read(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        self._before("read", key)
        data = self._store.read(key, start, length)
        self.bytes_read += len(data)
        return data

    def names(self, prefix: str) -> list[str]:
        self._before("names", prefix)
        return self._store.names(prefix)

    def remove(self, keys: Iterable[str]) -> None:
        keys = list(keys)
        self._before("remove", keys[0])
        self._store.remove(keys)


class WrittenLog:
    """A log source that has all its lines, in batches of these sizes, over and over.

    With `lost_after` the executor goes away behind so many batches.
    """

    def __init__(
        self, lines: list[bytes], sizes: Iterable[int] = (100,), *, lost_after: int | None = None
    ) -> None:
        self._lines = lines
        self._sizes = list(sizes)
        self._lost_after = lost_after

    def batches(self, *, follow: bool) -> Iterator[list[bytes]]:
        start = 0
        for number, size in enumerate(cycle(self._sizes)):
            if number == self._lost_after:
                raise ExecutorUnavailable("the engine went away")
            if start >= len(self._lines):
                return
            yield self._lines[start : start + size]
            start += size


def stored(
    number: int, text: bytes = b"hello", *, stream: str = "out", newline: bool = True
) -> bytes:
    """Return a stored line whose time tells its number."""
    mark = "" if newline else "+"
    return b"2026-11-21T20:00:00.%09dZ %b%b %b" % (number, stream.encode(), mark.encode(), text)


def fail_from(call: int) -> Callable[[str, str], None]:
    """Return what makes a watched store refuse its n-th call, counted from 0, and all later."""
    calls = iter(range(1 << 30))

    def refuse(verb: str, key: str) -> None:
        if next(calls) >= call:
            raise LogStoreUnavailable(f"no {verb} of {key}")

    return refuse


def _checked(key: str) -> str:
    if not key or "\0" in key or not {"", ".", ".."}.isdisjoint(key.split("/")):
        raise ValueError(key)
    return key
