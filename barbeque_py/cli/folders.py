"""Folders that must be there and take files."""

import tempfile
from pathlib import Path

from barbeque_py.cli.exits import Code, Failure


def make_folder(folder: Path, setting: str) -> None:
    """Make the folder if needed; raise `Failure` when nothing can be written there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return
    except OSError as error:
        raise Failure(
            f"{setting} {folder} can't be written ({error.strerror}): "
            "let this user write there, or name another folder",
            Code.USAGE,
        ) from None
