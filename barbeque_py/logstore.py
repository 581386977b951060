"""Seam: keeps what attempts wrote, and reads any range of it."""

from collections.abc import Iterable
from typing import Protocol


class LogStore(Protocol):
    """Keeps objects of bytes under keys with slashes, as S3 does.

    A key's parts are percent-encoded by the caller. Every call may raise `LogStoreUnavailable`.
    """

    def put(self, key: str, chunks: Iterable[bytes]) -> int:
        """Write the object, all or nothing, replacing what was there; return its size in bytes.

        Chunks are written as they come, in bounded memory. A reader sees the old object or the
        new one; after a crash there is the old one or the new one.
        """
        ...

    def read(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        """Return that range of the object, shorter at its end; raises `NoSuchLog`."""
        ...

    def names(self, prefix: str) -> list[str]:
        """Return the keys that begin with the prefix, a folder with its slash, in order."""
        ...

    def remove(self, keys: Iterable[str]) -> None:
        """Forget these objects; a no-op for those that are gone."""
        ...
