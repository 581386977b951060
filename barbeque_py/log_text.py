"""The text of a log's line without what speaks to a terminal."""

import re

_ESCAPE = (
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # CSI: colours, moves of the cursor
    r"|\x1b\][^\x07\x1b\n]*(?:\x07|\x1b\\)?"  # OSC: titles, links
    r"|\x1b[PX^_][^\x1b\n]*(?:\x1b\\)?"  # DCS, SOS, PM, APC
    r"|\x1b[ -/]*[0-~]?"
)
ESCAPE = re.compile(_ESCAPE)
_ESCAPE_BYTES = re.compile(_ESCAPE.encode())


def bare(text: bytes) -> bytes:
    """Return the text without terminal escapes; no newline is lost."""
    return _ESCAPE_BYTES.sub(b"", text) if b"\x1b" in text else text
