"""What a job tells of itself: how far it is while it runs, and its result."""

import json
import re
from dataclasses import dataclass

from barbeque_py import strict_json
from barbeque_py.strict_json import StrictJsonError

PROGRESS_LIMIT = 256 * 1024
"""Bytes of a file of progress that are looked at; of a longer one nothing is."""

RESULT_LIMIT = 64 * 1024
"""Bytes of a result."""

TEXT_LIMIT = 200
"""Characters of progress's text; what is longer is cut."""

_LINE_LIMIT = 4_000
_NUMBER = r"\d{1,15}(?:\.\d{1,9})?"
_SHARE = re.compile(rf"({_NUMBER})[ ]?/[ ]?({_NUMBER})(?:\s.*)?", re.ASCII)
_PERCENT = re.compile(rf"({_NUMBER})[ ]?%(?:\s+(.*))?", re.ASCII)
_WHITE = re.compile(r"[\s\x00-\x1f\x7f-\x9f\u2028\u2029]+")


class ReportFault(ValueError):
    """What the job told can't be taken; the message names the fault."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a job is: from 0 to 100, None where it did not say; and a few words."""

    percent: float | None
    text: str


@dataclass(frozen=True, slots=True)
class Report:
    """What a job has told so far; `result` is JSON text, `fault` says why there is none."""

    progress: Progress | None = None
    result: str | None = None
    fault: str = ""


def read_progress(body: bytes) -> Progress:
    """Read the last line of the body: `3/10 words`, `42% words`, words, or a JSON object.

    The object has `percent`, `text` or both. Raises `ReportFault`.
    """
    lines = [line for line in body.splitlines() if line.strip()]
    if not lines:
        raise ReportFault("there is no line of progress")
    if len(lines[-1]) > _LINE_LIMIT:
        raise ReportFault(f"a line of progress has more than {_LINE_LIMIT:,} bytes")
    try:
        line = lines[-1].decode().strip()
    except UnicodeDecodeError:
        raise ReportFault("the progress is not UTF-8") from None
    found = _read_object(line) if line.startswith("{") else _read_line(line)
    if found.percent is None and not found.text:
        raise ReportFault("the progress has neither a percentage nor a text")
    return found


def read_result(body: bytes) -> str:
    """Return the JSON in the body as compact text. Raises `ReportFault`."""
    if len(body) > RESULT_LIMIT:
        raise ReportFault(f"the result has more than {RESULT_LIMIT:,} bytes")
    try:
        value = strict_json.loads(body)
    except StrictJsonError as error:
        raise ReportFault(f"the result: {error}") from None
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def read_files(progress: bytes | None, result: bytes | None) -> Report | None:
    """Return what stands in a job's two files, None where nothing does.

    A file cut behind its limit counts as too long. A faulty line of progress may be half written:
    it is passed over. A faulty result is told as such.
    """
    found, text, fault = None, None, ""
    if progress and len(progress) <= PROGRESS_LIMIT:
        try:
            found = read_progress(progress)
        except ReportFault:
            found = None
    if result and result.strip():
        try:
            text = read_result(result)
        except ReportFault as error:
            fault = str(error)
    return Report(found, text, fault) if found or text is not None or fault else None


def _read_line(line: str) -> Progress:
    if share := _SHARE.fullmatch(line):
        done, of = float(share[1]), float(share[2])
        return Progress(_rounded(100 * done / of) if of else None, _tidy(line))
    if percent := _PERCENT.fullmatch(line):
        return Progress(_rounded(float(percent[1])), _tidy(percent[2] or ""))
    return Progress(None, _tidy(line))


def _read_object(line: str) -> Progress:
    try:
        found = strict_json.loads(line.encode(), max_depth=1, max_keys=2)
    except StrictJsonError as error:
        raise ReportFault(f"the progress: {error}") from None
    assert isinstance(found, dict), "what begins with a brace and is JSON is an object"
    percent, text = found.pop("percent", None), found.pop("text", "")
    if found:
        raise ReportFault("the progress has percent, text or both, and nothing else")
    if not isinstance(text, str):
        raise ReportFault("text is not a text")
    if percent is not None and (isinstance(percent, bool) or not isinstance(percent, int | float)):
        raise ReportFault("percent is not a number")
    return Progress(None if percent is None else _rounded(percent), _tidy(text))


def _rounded(percent: float) -> float:
    return round(min(max(percent, 0.0), 100.0), 1)


def _tidy(text: str) -> str:
    """Make one short line of it, without control characters."""
    line = _WHITE.sub(" ", text).strip()
    return line if len(line) <= TEXT_LIMIT else line[: TEXT_LIMIT - 1] + "…"
