"""The pages people read: their blocks, links and headings, and what running a block prints."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_FILE = re.compile(r"`([\w.-]+\.ya?ml)`")
_HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)
_ELSEWHERE = ("make ", "git ", "export ")
"""First words of commands that make a place to work in, as the test has one already."""


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block: its language, its text, the file's name before it, and the block after."""

    language: str
    text: str
    line: int
    file: str | None = None
    answer: "Block | None" = None


def blocks(page: Path) -> list[Block]:
    """Return the page's blocks in order; JSON or text right behind a command is its answer."""
    text = page.read_text()
    found: list[Block] = []
    matches = list(_FENCE.finditer(text))
    for match, following in zip_longest(matches, matches[1:]):
        before = text[: match.start()].rstrip().rsplit("\n\n", 1)[-1]
        names = _FILE.findall(before)
        answer = None
        if following and not text[match.end() : following.start()].strip():
            answer = _block(text, following) if following[1] in ("json", "text") else None
        name = names[-1] if match[1] == "yaml" and names else None
        found.append(_block(text, match, file=name, answer=answer))
    return found


def commands(block: Block) -> Iterator[str]:
    """Yield the block's commands that can be run anywhere, whole: quotes and here-documents too."""
    pending = ""
    ended_by = ""
    for line in block.text.splitlines(keepends=True):
        pending += line
        if here := re.search(r"<<'(\w+)'", line):
            ended_by = here[1]
        if ended_by and line.strip() != ended_by:
            continue
        ended_by = ""
        if line.endswith("\\\n") or pending.count("'") % 2 or re.search(r"^(if|for) ", pending):
            continue
        if pending.strip() and not pending.startswith(_ELSEWHERE):
            yield pending
        pending = ""


def links(page: Path) -> list[str]:
    """Return where the page's links and pictures lead."""
    return _LINK.findall(_FENCE.sub("", page.read_text()))


def anchors(page: Path) -> set[str]:
    """Return the anchors of the page's headings, as GitHub makes them."""
    headings = _HEADING.findall(_FENCE.sub("", page.read_text()))
    kept = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {heading.replace(" ", "-") for heading in kept}


def _block(
    text: str, match: re.Match[str], *, file: str | None = None, answer: Block | None = None
) -> Block:
    line = text.count("\n", 0, match.start()) + 1
    return Block(match[1], match[2], line, file, answer)
