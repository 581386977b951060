"""What people type: lengths of time, instants, and messages; each fault with its cure."""

import json
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from barbeque_py.cli.exits import Code, Failure

_SHOWN = 40


def read_length(option: str, text: str) -> timedelta:
    """Read a duration such as `90s` or `15m`."""
    from barbeque_py.durations import parse_duration

    try:
        return parse_duration(text)
    except ValueError as error:
        raise Failure(f"{option}: {error}", Code.USAGE) from None


def read_share(option: str, text: str) -> float:
    """Read a share such as `0.2` or `20%`."""
    number, percent = text.removesuffix("%"), text.endswith("%")
    try:
        share = float(number) / (100 if percent else 1)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise Failure(f"{option}: {text[:_SHOWN]!r} is no share: write 0.2 or 20%", Code.USAGE)
    return share


def read_instant(option: str, text: str) -> datetime:
    """Read RFC 3339; a time without an offset is this machine's local time."""
    try:
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError):
        raise Failure(
            f"{option}: {text[:_SHOWN]!r} is not a time; write 2026-11-30T08:00:00+09:00, "
            "or 2026-11-30T08:00 for this machine's local time",
            Code.USAGE,
        ) from None


def read_past(option: str, text: str) -> datetime:
    """Read a time, or a length of time before now, as in `2h`."""
    from barbeque_py import clock
    from barbeque_py.durations import parse_duration

    try:
        return clock.now() - parse_duration(text)
    except (ValueError, OverflowError):
        return read_instant(option, text)


def read_message(text: str | None) -> Any:
    """Return the JSON that the argument is, or that the file or standard input it names holds."""
    if text is None:
        return {}
    content, where = _content(text)
    try:
        message = json.loads(content)
    except ValueError as error:
        raise Failure(_advice(content, where, error), Code.USAGE) from None
    except RecursionError:
        raise Failure(f"{where} is JSON nested too deep", Code.USAGE) from None
    if message is None:
        raise Failure("the message can't be null; leave it out for {}", Code.USAGE)
    return message


def _content(text: str) -> tuple[str, str]:
    if text == "-":
        return read_text("-"), "what standard input holds"
    if text.startswith("@"):
        return read_text(text[1:]), text[1:]
    return text, "the message"


def _advice(content: str, where: str, error: ValueError) -> str:
    if where != "the message":
        return f"{where} is not JSON ({error})"
    start = content[:_SHOWN] + ("..." if len(content) > _SHOWN else "")
    if content.lstrip()[:1] in ("{", "["):
        return f"the message is not JSON ({error}): put it in single quotes, '{{\"name\": 1}}'"
    quoted = f"'{json.dumps(content)}'" if len(content) <= _SHOWN else "'\"like this\"'"
    return f"the message {start!r} is not JSON: a text needs quotes of its own, {quoted}"


def read_text(name: str) -> str:
    """Return the text of the file, or of standard input where its name is `-`."""
    try:
        return sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise Failure(f"{name} is not UTF-8 text: save it as UTF-8", Code.USAGE) from None
    except OSError as error:
        raise Failure(f"{name} can't be read ({error.strerror})", Code.USAGE) from None
