"""Facts in words for people: times, reasons, exit codes; and text made harmless to look at."""

import re
import signal
from datetime import UTC, datetime, timedelta

from barbeque_console.tongue import gettext
from barbeque_console.tongue import mark as _
from barbeque_py.executions import AttemptState, State
from barbeque_py.outcomes import Reason
from barbeque_py.store.attempts import Attempt

_ESCAPE = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # CSI: colours, moves of the cursor
    r"|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?"  # OSC: titles, links
    r"|\x1b[PX^_][^\x1b]*(?:\x1b\\)?"  # DCS, SOS, PM, APC
    r"|\x1b[ -/]*[0-~]?"
)
_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    "\ufeff\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
)
_C0 = 0x20
_SIGNALLED = 128

EXIT_CODES = {
    0: _("success"),
    1: _("an error of the command's own"),
    2: _("wrong usage of the command"),
    125: _("the container could not be run"),
    126: _("the command can't be executed"),
    127: _("the command was not found"),
    137: _("killed (SIGKILL): out of memory, or stopped by force"),
    139: _("crashed (SIGSEGV)"),
    143: _("asked to end (SIGTERM)"),
}
"""What they usually mean."""

_REASONS: dict[str, str] = {
    Reason.OUT_OF_MEMORY: _("ran out of memory"),
    Reason.TIMED_OUT: _("ran longer than its timeout"),
    Reason.CANCELLED: _("was cancelled"),
    Reason.INTERRUPTED: _("was interrupted through no fault of its own"),
    Reason.NEVER_STARTED: _("could not be started"),
    Reason.VANISHED: _("vanished without a trace"),
}


def plain(text: str) -> str:
    """Return the text without terminal escapes; other invisible characters become visible.

    Newlines and tabs stay. A line that redraws itself with carriage returns shows its last state.
    """
    bare = _ESCAPE.sub("", text)
    if "\r" in bare:
        bare = "\n".join(map(_last_state, bare.split("\n")))
    return _HIDDEN.sub(_mark, bare)


def _last_state(line: str) -> str:
    return next((part for part in reversed(line.split("\r")) if part), "")


def _mark(found: re.Match[str]) -> str:
    """Draw a control character as its picture, and any other as the replacement character."""
    code = ord(found[0])
    return chr(0x2400 + code) if code < _C0 else "\N{REPLACEMENT CHARACTER}"


def shorten(message_id: str) -> str:
    """Return the ends of an id: its beginning tells the time, its end tells it apart."""
    return f"{message_id[:8]}…{message_id[-6:]}"


def iso(instant: datetime) -> str:
    """Write the instant for `<time datetime>`."""
    return instant.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def exact(instant: datetime) -> str:
    """Write the instant for people, to the second."""
    return instant.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def day(instant: datetime) -> str:
    """Write the instant's day."""
    return instant.astimezone(UTC).strftime("%Y-%m-%d")


def size(count: int) -> str:
    """Write how many bytes there are."""
    if count < 1000:  # noqa: PLR2004 - below this, bytes
        return f"{count} B"
    for unit, each in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= each:
            return f"{count / each:.1f} {unit}"
    raise AssertionError("a kB is the least")


def relative(instant: datetime, now: datetime) -> str:
    """Say how long ago the instant was, or how soon it will be."""
    distance = now - instant
    if abs(distance) < timedelta(seconds=1):
        return gettext("just now")
    if distance < timedelta(0):
        return gettext("in %s") % _coarse(-distance)
    return gettext("%s ago") % _coarse(distance)


def _coarse(duration: timedelta) -> str:
    seconds = int(duration.total_seconds())
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size * (2 if unit == "d" else 1):
            return f"{seconds // size} {gettext(unit)}"
    return f"{seconds} {gettext('s')}"


def lasting(duration: timedelta) -> str:
    """Write how long something took, in two units at most."""
    seconds = max(duration, timedelta(0)).total_seconds()
    if seconds < 10:  # noqa: PLR2004 - below this tenths matter
        return f"{seconds:.1f} {gettext('s')}"
    whole = int(seconds)
    for unit, size, lower, part in (("d", 86_400, "h", 3_600), ("h", 3_600, "min", 60)):
        if whole >= size:
            return f"{whole // size} {gettext(unit)} {whole % size // part} {gettext(lower)}"
    if whole < 60:  # noqa: PLR2004
        return f"{whole} {gettext('s')}"
    return f"{whole // 60} {gettext('min')} {whole % 60} {gettext('s')}"


def percent(share: float | None) -> str:
    """Write a share for people; a hyphen where there is none."""
    if share is None:
        return "-"
    return f"{share * 100:.{0 if share in (0, 1) else 1}f} %"


def exit_meaning(code: int) -> str:
    """Say what an exit code usually means; nothing when only the command knows."""
    if code in EXIT_CODES:
        return gettext(EXIT_CODES[code])
    try:
        return f"ended by {signal.Signals(code - _SIGNALLED).name}"
    except ValueError:
        return ""


def outcome(attempt: Attempt) -> str:
    """Return one word for where the attempt stands, or how it ended."""
    if attempt.state is not AttemptState.ENDED:
        return str(attempt.state)
    if attempt.reason == Reason.EXITED:
        return State.SUCCEEDED if attempt.exit_code == 0 else State.FAILED
    if attempt.reason in (Reason.CANCELLED, Reason.INTERRUPTED):
        return str(attempt.reason)
    return State.FAILED


def why_ended(attempt: Attempt) -> str:
    """Say in words how the attempt ended."""
    if attempt.reason is None:
        return gettext("is being stopped") if attempt.stop_requested_at else ""
    return gettext(_REASONS.get(attempt.reason, attempt.reason))


def grouped(number: int) -> str:
    """Write the number with its thousands apart."""
    return f"{number:,}"
