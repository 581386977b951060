"""What has been opened is closed together."""

from contextlib import ExitStack
from typing import TypeVar

T = TypeVar("T")


def kept(opened: ExitStack, part: T) -> T:
    """Have the part closed with the others, if it holds anything open."""
    close = getattr(part, "close", None)
    if close is not None:
        opened.callback(close)
    return part
