"""What makes two failures the same: the job, how it ended, and what it said first about it.

Whatever changes from run to run is folded: times, ids, numbers, addresses and paths.
"""

import re
from hashlib import sha256

LONGEST = 500
"""Characters of a line that are kept."""

_PATTERN = 300
_FOLDED = tuple(
    (re.compile(pattern), word)
    for pattern, word in (
        (r"\x1b\[[0-9;?]*[A-Za-z]", ""),
        (r"\b[a-z][a-z0-9+.-]*://[^\s'\"<>)]+", "<url>"),
        (r"\b[\w.+-]+@[\w-]+\.[\w.-]+", "<email>"),
        (r"\b[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\b", "<id>"),
        (r"\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b", "<ip>"),
        (r"\b\d{4}[-/]\d\d[-/]\d\d(?:[T ][\d:]{5,8}(?:[.,]\d+)?)?(?:Z|[+-]\d\d:?\d\d)?", "<time>"),
        (r"\b\d{1,2}:\d\d(?::\d\d)?(?:[.,]\d+)?\b", "<time>"),
        (r"(?:(?<=[\s'\"(=:,\[])|^)(?:[A-Za-z]:)?(?:[\\/][\w.@%+~-]+){2,}[\\/]?", "<path>"),
        (r"\b0x[0-9a-fA-F]+\b", "<hex>"),
        (r"\b(?=[0-9a-fA-F]*\d)(?=[0-9a-fA-F]*[a-fA-F])[0-9a-fA-F]{8,}\b", "<hex>"),
        (r"\d+(?:[.,]\d+)*", "<n>"),
        (r"\s+", " "),
    )
)


def pattern_of(line: str) -> str:
    """Return the line with all folded that changes from run to run."""
    text = line[:LONGEST]
    for pattern, word in _FOLDED:
        text = pattern.sub(word, text)
    return text.strip()[:_PATTERN]


def fingerprint_of(reason: str | None, exit_code: int | None, pattern: str) -> str:
    """Return the name that all failures of one job share which are the same."""
    facts = f"{reason}\n{exit_code}\n{pattern}"
    return sha256(facts.encode()).hexdigest()[:32]
