"""Wake-ups on one machine: a hint that there is something to do, never the only way to learn it."""

import os
import socket
import uuid
from pathlib import Path

_FOLDER = "wake"


class Bell:
    """Wakes every worker of this `BARBEQUE_HOME`, after a commit."""

    def __init__(self, home: Path) -> None:
        self._folder = home / _FOLDER
        self._socket: socket.socket | None = None

    def ring(self, *, but: "Ear | None" = None) -> None:
        """Tell every worker to look, but the one with this ear; never waits and never fails."""
        try:
            names = [path.name for path in self._folder.iterdir()]
        except OSError:
            return
        for name in names:
            if but is None or name != but.name:
                self._tell(name)

    def _tell(self, name: str) -> None:
        try:
            with _short(self._folder) as folder:
                self._speaker().sendto(b"!", f"{folder}/{name}")
        except (ConnectionRefusedError, FileNotFoundError):
            (self._folder / name).unlink(missing_ok=True)
        except OSError:
            return  # A full buffer is a worker that has been told already.

    def _speaker(self) -> socket.socket:
        if self._socket is None:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self._socket.settimeout(0)
        return self._socket

    def close(self) -> None:
        """Close the socket."""
        if self._socket is not None:
            self._socket.close()


class Ear:
    """One worker's end of the bell."""

    def __init__(self, home: Path) -> None:
        folder = home / _FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        self.name = name = uuid.uuid4().hex[:12]
        self._path = folder / name
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        with _short(folder) as short:
            self._socket.bind(f"{short}/{name}")
        self._socket.settimeout(1.0)

    def listen(self) -> bool:
        """Wait up to a second for the bell; say whether it rang."""
        try:
            self._socket.recv(16)
        except TimeoutError:
            return False
        self._socket.settimeout(0)
        try:
            while self._socket.recv(16):
                pass  # Many rings are one reason to look.
        except BlockingIOError:
            return True
        finally:
            self._socket.settimeout(1.0)
        return True

    def close(self) -> None:
        """Stop listening."""
        self._socket.close()
        self._path.unlink(missing_ok=True)


class _short:  # noqa: N801 - reads as the word it is where it is used
    """A folder under a name short enough for a socket's path, which holds 108 bytes at most."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._descriptor = -1

    def __enter__(self) -> str:
        if len(str(self._folder)) < 80:  # noqa: PLR2004 - 108 less a name, with room to spare
            return str(self._folder)
        self._descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        return f"/proc/self/fd/{self._descriptor}"

    def __exit__(self, *_: object) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
