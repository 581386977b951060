"""The log of one attempt: its lines, its file, and any range of it.

A stored line is `TIME STREAM TEXT` in bytes, without the newline: TIME is RFC 3339 in UTC with a
fraction (`2026-11-21T20:00:00.123456789Z`, 6 or 9 digits), STREAM is `out`, `err`, or `-` where the
source does not tell, and TEXT is what the job wrote, raw. A `+` behind the stream (`out+`) says
that the job wrote no newline here: the text goes on in that stream's next line, or the log ended.
"""

from collections.abc import Iterator
from typing import Protocol


class LogSource(Protocol):
    """A log where it is being written: what an executor keeps until the log is sealed."""

    def batches(self, *, follow: bool) -> Iterator[list[bytes]]:
        """Yield the stored lines from the first one on, in order of arrival.

        The order is the same each time it is read. When following, an empty batch comes at least
        once a second while nothing is written, and the iterator ends once the attempt has ended
        and all is read; else it ends with what is there now. Memory stays bounded: a line longer
        than 64 KiB comes in pieces marked `+`. Raises `ExecutorUnavailable`; `NoSuchLog` when the
        attempt is gone.
        """
        ...
