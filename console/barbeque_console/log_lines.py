"""A line of a log as HTML: escaped whatever it says, colours as classes, addresses as links.

Nothing of a line is ever markup: it becomes pieces of text, and each is escaped where it is put
into a tag of ours. Colours are classes, as our pages allow no styles of their own.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from html import escape
from itertools import pairwise

from markupsafe import Markup

from barbeque_console.words import plain
from barbeque_py.log_marks import ERROR_WORDS
from barbeque_py.log_search import Pattern
from barbeque_py.log_text import ESCAPE
from barbeque_py.logs import Line

SHOWN = 4_000
"""Characters of one line on the page."""

_PIECES = 400
"""Pieces of one line with colours of their own; what follows has none."""
_CLOCK = re.compile(r"\d{4}-\d\d-\d\dT(\d\d:\d\d:\d\d\.\d{3})\d*Z", re.ASCII)
_COLOUR = re.compile(r"\x1b\[([\d;:]{0,200})m", re.ASCII)
_LINK = re.compile(r"https?://[\w.~:/?#\[\]@!$&'()*+,;=%-]+", re.ASCII)
_LINK_END = ".,;:!?'"
_UNREADABLE = re.compile("[\0-\x08\x0e-\x1a\x1c-\x1f\ufffd]")
_LOOKED_AT = 512
_MOST_UNREADABLE = 0.1
_WORDS = tuple(word.decode() for word in ERROR_WORDS)
_LEVELS = (0, 95, 135, 175, 215, 255)
"""The steps of each primary colour among a terminal's 256 colours."""
_ATTRIBUTES = {1: "bo", 2: "di", 3: "it", 4: "un", 7: "iv", 9: "st"}
_ENDS = {22: ("bo", "di"), 23: ("it",), 24: ("un",), 27: ("iv",), 29: ("st",)}


@dataclass(frozen=True, slots=True)
class Piece:
    """Some text of a line that looks the same; `href` is the address it leads to."""

    text: str
    classes: str = ""
    href: str = ""
    marked: bool = False


@dataclass(frozen=True, slots=True)
class LogAddress:
    """Where the log of an attempt is shown."""

    path: str
    """Of the execution's log."""
    attempt: int

    def line(self, number: int) -> str:
        """Return the address of a line in its log; lines of addresses count from 1."""
        return f"{self.path}?attempt={self.attempt}&line={number}#L{number}"

    def whole_line(self, number: int) -> str:
        """Return the address of all that a line says."""
        return f"{self.path}/line?attempt={self.attempt}&line={number}"


def draw_row(line: Line, log: "LogAddress", *, anchor: str, pattern: Pattern | None) -> str:
    """Return the line as a row of the log.

    With `anchor` the row has an id that begins so; what the pattern matches is marked.
    """
    number = line.number + 1
    own_id = f' id="{anchor}{number}"' if anchor else ""
    link = f'<a class="ln" href="{escape(log.line(number))}">{number}</a>'
    clock = _CLOCK.fullmatch(line.at)
    at = f' title="{line.at}">{clock[1]}' if clock else ">"
    stream = "err" if line.stream == "err" else ""
    mark = f'<i>{stream}</i><span class="at"{at}</span>'
    text = _draw_text(line, log, pattern)
    kinds = " ".join(filter(None, ("ll", stream, "e" if _is_trouble(line.text) else "")))
    return f'<div class="{kinds}"{own_id} data-n="{number}">{link}{mark}{text}</div>'


def draw_rows(
    lines: Iterable[Line], log: "LogAddress", *, anchor: str = "", pattern: Pattern | None = None
) -> Markup:
    """Return the rows of these lines."""
    rows = (draw_row(line, log, anchor=anchor, pattern=pattern) for line in lines)
    return Markup("".join(rows))  # noqa: S704 - every text in it is escaped


def clean(text: str) -> str:
    """Return the line's text as it is shown, without its looks."""
    return "".join(piece.text for piece in pieces(text))


def is_binary(text: str) -> bool:
    """Tell whether a line is no text for people."""
    start = text[:_LOOKED_AT]
    return "\0" in start or len(_UNREADABLE.findall(start)) > 8 + _MOST_UNREADABLE * len(start)


def pieces(text: str) -> list[Piece]:
    """Cut the text where its looks change; escapes are gone, what is invisible is drawn.

    A line that redraws itself with carriage returns is what it was last.
    """
    if "\x1b" not in text:
        return [Piece(plain(text))]
    found: list[Piece] = []
    looks = _Looks()
    for piece, codes in _coloured(_last_state(text)):
        if piece:
            found.append(Piece(plain(piece), looks.classes() if len(found) < _PIECES else ""))
        looks.change(codes)
    return found


def _draw_text(line: Line, log: LogAddress, pattern: Pattern | None) -> str:
    whole = escape(log.whole_line(line.number + 1))
    if is_binary(line.text):
        told = f"binary data, {len(line.text):,} characters"
        return f'<span class="lt"><em>{told} <a href="{whole}">as hex</a></em></span>'
    cut = len(line.text) - SHOWN
    found = pieces(line.text[:SHOWN])
    if pattern is not None:
        found = _marked(found, pattern.spans_in("".join(piece.text for piece in found)))
    html = "".join(_draw(piece) for each in found for piece in _linked(each))
    if cut > 0:
        told = f"… {cut:,} more characters:"
        html += f' <em>{told} <a href="{whole}">show the whole line</a></em>'
    elif not line.newline:
        html += '<em class="nn" title="The job wrote no newline here.">⏎̸</em>'
    return f'<span class="lt">{html}</span>'


def _draw(piece: Piece) -> str:
    html = escape(piece.text)
    if piece.marked:
        html = f"<mark>{html}</mark>"
    if piece.href:
        rel = 'target="_blank" rel="noopener noreferrer nofollow"'
        return f'<a class="{piece.classes}" href="{escape(piece.href)}" {rel}>{html}</a>'
    return f'<span class="{piece.classes}">{html}</span>' if piece.classes else html


def _linked(piece: Piece) -> Iterator[Piece]:
    """Cut out the addresses, without the full stop of a sentence that ends with one."""
    position = 0
    for found in _LINK.finditer(piece.text) if "://" in piece.text else ():
        href = found[0].rstrip(_LINK_END)
        if href.count(")") > href.count("("):
            href = href[: href.rindex(")")]
        end = found.start() + len(href)
        yield Piece(piece.text[position : found.start()], piece.classes, marked=piece.marked)
        yield Piece(href, piece.classes, href, piece.marked)
        position = end
    yield Piece(piece.text[position:], piece.classes, marked=piece.marked)


def _marked(found: list[Piece], spans: list[tuple[int, int]]) -> list[Piece]:
    """Cut the pieces where marks begin and end."""
    if not spans:
        return found
    cut: list[Piece] = []
    start = 0
    for piece in found:
        end = start + len(piece.text)
        inner = {edge for span in spans for edge in span if start < edge < end}
        for one, other in pairwise(sorted({start, end} | inner)):
            inside = any(begin <= one and other <= stop for begin, stop in spans)
            text = piece.text[one - start : other - start]
            cut.append(Piece(text, piece.classes, marked=inside))
        start = end
    return cut


def _last_state(text: str) -> str:
    """Return what the last carriage return left to see; a bare one at the end erases nothing."""
    if "\r" not in text:
        return text
    return next((part for part in reversed(text.split("\r")) if ESCAPE.sub("", part)), "")


def _coloured(text: str) -> Iterator[tuple[str, str]]:
    """Yield each text before an escape, and the codes if that one is of colour."""
    position = 0
    for found in ESCAPE.finditer(text):
        colour = _COLOUR.fullmatch(found[0])
        yield text[position : found.start()], "-" if colour is None else colour[1]
        position = found.end()
    yield text[position:], "-"


def _is_trouble(text: str) -> bool:
    lower = text[:SHOWN].lower()
    return any(word in lower for word in _WORDS)


class _Looks:
    """How a terminal would show what comes next."""

    def __init__(self) -> None:
        self._attributes: set[str] = set()
        self._colours = {"c": "", "k": ""}

    def classes(self) -> str:
        """Return the classes of it."""
        return " ".join(filter(None, [*self._colours.values(), *sorted(self._attributes)]))

    def change(self, codes: str) -> None:
        """Take an escape's codes; `-` is none of colour, nothing is a reset."""
        if codes == "-":
            return
        numbers = [int(code) if code else 0 for code in re.split("[;:]", codes)[:64]]
        while numbers:
            code = numbers.pop(0)
            if code in (38, 48):
                self._extend("c" if code == 38 else "k", numbers)  # noqa: PLR2004 - of ECMA-48
            else:
                self._set(code)

    def _set(self, code: int) -> None:
        ten, unit = divmod(code, 10)
        if code == 0:
            self.__init__()  # type: ignore[misc]
        elif code in _ATTRIBUTES:
            self._attributes.add(_ATTRIBUTES[code])
        elif code in _ENDS:
            self._attributes.difference_update(_ENDS[code])
        elif ten in (3, 4) and unit == 9:  # noqa: PLR2004 - of ECMA-48
            self._colours["ck"[ten - 3]] = ""
        elif ten in (3, 4) and unit < 8:  # noqa: PLR2004
            self._colours["ck"[ten - 3]] = f"{'ck'[ten - 3]}{unit}"
        elif ten in (9, 10) and unit < 8:  # noqa: PLR2004
            self._colours["ck"[ten - 9]] = f"{'ck'[ten - 9]}{unit + 8}"

    def _extend(self, ground: str, numbers: list[int]) -> None:
        """Take a colour of 256, or one by its red, green and blue."""
        kind = numbers.pop(0) if numbers else 0
        if kind == 5 and numbers:  # noqa: PLR2004 - of ISO 8613-6
            self._colours[ground] = _of_256(ground, numbers.pop(0))
        elif kind == 2 and len(numbers) >= 3:  # noqa: PLR2004
            self._colours[ground] = _of_rgb(ground, numbers[:3])
            del numbers[:3]


def _of_256(ground: str, number: int) -> str:
    if number < 16:  # noqa: PLR2004 - the terminal's own colours
        return f"{ground}{number}"
    if number >= 232:  # noqa: PLR2004 - greys
        return _of_rgb(ground, [8 + 10 * min(number - 232, 23)] * 3)
    place = number - 16
    return _of_rgb(ground, [_LEVELS[each] for each in (place // 36, place // 6 % 6, place % 6)])


def _of_rgb(ground: str, levels: list[int]) -> str:
    """Return the classes of the nearest colour of which ours has classes: 16 steps of each."""
    names = "rgb" if ground == "c" else "RGB"
    steps = (
        f"{name}{round(min(level, 255) / 17):x}" for name, level in zip(names, levels, strict=True)
    )
    return f"{ground}x {' '.join(steps)}"
