"""Searching a whole log, in time that grows with the log alone, whatever is looked for."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import re2

from barbeque_py.errors import BadPattern
from barbeque_py.found_logs import Block
from barbeque_py.log_reading import Log
from barbeque_py.log_text import bare
from barbeque_py.logs import Line, read_line, split_line, stream_of

MOST_HITS = 10_000
"""Lines that one search finds at most; another one goes on behind them."""

_LONGEST = 500
_MEMORY = 16 * 1024 * 1024
_IGNORED = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]", re.DOTALL)
"""Parts of a pattern in which `^` is no start of a line."""


@dataclass(frozen=True, slots=True)
class Query:
    """What is looked for in the lines' text; without text, every line of the stream."""

    text: str
    regex: bool = False
    case: bool = False
    """Whether capital letters matter."""
    stream: str | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """Numbers of lines that match, and how far the search has come."""

    hits: list[int]
    next: int
    full: bool = False
    """Whether there were as many as one search finds: another one goes on at `next`."""
    lines: Sequence[Line] = field(default=(), compare=False)
    """The lines themselves, where they were asked for."""


class Pattern:
    """A query made ready. Its engine is RE2: linear in the text, in bounded memory.

    One that can't be raises `BadPattern`, with a sentence for people.
    """

    def __init__(self, query: Query) -> None:
        if len(query.text) > _LONGEST:
            raise BadPattern(f"at most {_LONGEST} characters can be looked for")
        wanted = query.text if query.regex else re2.escape(query.text)
        _compile(wanted, query)  # by itself: within our own it could close a bracket of ours
        self._stream = query.stream
        self._text = _compile(f"(?m)(?:{wanted})", query) if query.text else None
        # A match of the whole stored line is found in one go, as long as no `^` means its text.
        head = r"(?m)^\S+ (?:" + (query.stream or r"\S+?") + r")\+? "
        anchored = query.regex and bool(re.search(r"\^|\\A", _IGNORED.sub(_kept, query.text)))
        self._line = None if anchored else _compile(rf"{head}.*?(?:{wanted})", query)

    def lines_in(self, block: Block) -> Iterator[int]:
        """Yield the numbers of the lines that match."""
        text = _readable(bare(block.text))
        if self._line is not None:
            yield from _lines(self._line, text, block.first)
            return
        stored = text.split(b"\n")[:-1]
        texts = b"\n".join(split_line(line)[2] for line in stored)
        for number in _lines(self._text, texts, block.first):
            if self._stream is None or stream_of(stored[number - block.first]) == self._stream:
                yield number

    def spans_in(self, text: str) -> list[tuple[int, int]]:
        """Return where in a shown text it matches, each as start and end."""
        if self._text is None:
            return []
        spans = (found.span() for found in self._text.finditer(text))
        return [(start, end) for start, end in islice(spans, _LONGEST) if start < end]


def search(
    log: Log, pattern: Pattern, *, first: int = 0, most: int = MOST_HITS, with_lines: bool = False
) -> Iterator[Found]:
    """Yield what is found from line `first` on, a few MiB of the log at a time.

    The last one tells how far the log goes now, or is `full`, as there are `most` of them. Raises
    `LogStoreUnavailable`.
    """
    left, following = most, first
    for block in log.blocks(first):
        hits = list(islice(pattern.lines_in(block), left))
        left -= len(hits)
        lines = _lines_of(block, hits) if with_lines else []
        if not left:
            yield Found(hits, hits[-1] + 1, full=True, lines=lines)
            return
        following = block.first + block.text.count(b"\n")
        yield Found(hits, following, lines=lines)
    yield Found([], following)


def _lines_of(block: Block, numbers: list[int]) -> list[Line]:
    stored = block.text.split(b"\n") if numbers else []
    return [read_line(number, stored[number - block.first]) for number in numbers]


def _compile(pattern: str, query: Query) -> Any:
    options = re2.Options()
    options.case_sensitive = query.case
    options.never_nl = True
    options.log_errors = False
    options.max_mem = _MEMORY
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        told = error.args[0] if error.args else ""
        words = told.decode(errors="replace") if isinstance(told, bytes) else str(told)
        raise BadPattern(f"this is no pattern that can be looked for: {words}") from error
    except UnicodeEncodeError as error:
        raise BadPattern("this is no text that can be looked for") from error


def _lines(pattern: Any, text: bytes, first: int) -> Iterator[int]:
    number, counted, position = first, 0, 0
    while position < len(text) and (found := pattern.search(text, position)):
        number += text.count(b"\n", counted, found.start())
        counted = found.start()
        yield number
        position = text.find(b"\n", found.end()) + 1
        if not position:
            return


def _readable(text: bytes) -> bytes:
    """Return the text as UTF-8, as its lines are shown: the engine passes over nothing else."""
    if text.isascii():
        return text
    return text.decode(errors="replace").encode()


def _kept(found: re.Match[str]) -> str:
    return found[0] if found[0] == r"\A" else ""
