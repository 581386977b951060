"""What the processes say of themselves: on standard error, a line each."""

import json
import logging
import re
import sys
import time

from barbeque_api.request_ids import request_id
from barbeque_py import clock
from barbeque_py.cli.repeats import Repeats

_NO_REQUEST = "-"
_ID = re.compile(r"([\da-f]{8}-(?:[\da-f]{4}-){3}[\da-f]{12})(-\d{1,6})?")


def set_up_logging(*, form: str = "text", requests: bool = True) -> None:
    """Write log lines to standard error, in UTC; those of requests that went well if wanted.

    What an outage repeats is written once. In the form `json` each line is an object.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if form == "json" else _Text())
    handler.addFilter(Repeats())
    # No line tells of these, and to find them out takes a fifth of the time of a line.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    logging.getLogger("barbeque.api").setLevel(logging.INFO if requests else logging.WARNING)
    for library in ("alembic", "botocore", "httpx"):
        logging.getLogger(library).setLevel(logging.WARNING)
    # It tells of each failure by a line of its own, and the relay tells of it already.
    logging.getLogger("slack_sdk").setLevel(logging.CRITICAL)


class _Text(logging.Formatter):
    """A line that begins with its time, which is written once a second."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")
        self._last = (0, "")

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: ARG002, N802 - logging's own
        """Return the record's time to the second, in UTC."""
        second, text = self._last
        if second != int(record.created):
            second = int(record.created)
            text = time.strftime("%FT%TZ", time.gmtime(second))
            self._last = (second, text)
        return text


class _Json(logging.Formatter):
    """One object a line, with the ids of what the line is about."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        facts = {
            "time": clock.rfc3339(clock.from_milliseconds(int(record.created * 1000))),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        facts |= _ids(record)
        if record.exc_info:
            facts["error"] = self.formatException(record.exc_info)
        return json.dumps(facts, ensure_ascii=False)


def _ids(record: logging.LogRecord) -> dict[str, str]:
    """Return the ids in what the line says: of the request, the message, the attempt."""
    found: dict[str, str] = {}
    request = getattr(record, "request_id", None) or request_id.get()
    if request != _NO_REQUEST:
        found["request_id"] = request
    for said in record.args if isinstance(record.args, tuple) else ():
        form = _ID.fullmatch(said) if isinstance(said, str) else None
        if form is not None:
            found.setdefault("message_id", form[1])
            if form[2]:
                found.setdefault("attempt_id", form[0])
    return found
