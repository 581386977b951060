"""What can go wrong when an app speaks to a barbeque_py.

Each has the `code` and the `request_id` that the server answered, None where it did not answer.

OutsideError              trying again may help
  Unreachable             nobody answered
  Faulty                  the server answered 500 or above
RequestError              the caller must change something
  Refused                 the server answered 400 to 499
    Forbidden               401, 403
    NotFound                404
    Conflict                409
    TooMany                 429
WaitTimedOut              the execution had not ended in time
"""

from collections.abc import Mapping
from typing import Any

from barbeque_py.errors import BarbequeError, OutsideError, RequestError

_FAULTS = 500


class Unreachable(OutsideError):
    """No barbeque_py answered at the URL, or not in time; what it did is unknown."""

    code: str | None = None
    request_id: str | None = None


class Faulty(OutsideError):
    """The server can't do it now (a status of 500 or above); the message is its own."""

    def __init__(
        self,
        message: str,
        *,
        status: int = _FAULTS,
        code: str | None = None,
        request_id: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.request_id = request_id


class Refused(RequestError):
    """The server refused the request; the message is its own."""

    def __init__(
        self,
        message: str,
        *,
        status: int,
        answer: Mapping[str, Any],
        request_id: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.answer = answer
        self.request_id = request_id

    @property
    def code(self) -> str | None:
        """The kind of the error, for programs: `record_not_found`, `invalid_parameter`."""
        return _code(self.answer)

    @property
    def problems(self) -> list[dict[str, Any]]:
        """The faults of an apply file: each with line, column, path and message."""
        return list(self.answer.get("problems") or [])


class Forbidden(Refused):
    """The token is missing or wrong, or does not allow this."""


class NotFound(Refused):
    """The server knows no such thing."""


class Conflict(Refused):
    """It can't be done as things stand, such as a retry of what has not ended."""


class TooMany(Refused):
    """More requests than the token may make."""


class WaitTimedOut(BarbequeError, TimeoutError):
    """The execution had not ended in time; it goes on."""


_KINDS = {401: Forbidden, 403: Forbidden, 404: NotFound, 409: Conflict, 429: TooMany}


def fault_of(status: int, answer: Any, request_id: str | None = None) -> Faulty | Refused:
    """Return the error that an answer of this status is."""
    facts = answer if isinstance(answer, dict) else {}
    said = facts.get("message") or facts.get("error") or facts.get("detail")
    message = str(said) if said else f"the server answered {status}"
    if status >= _FAULTS:
        return Faulty(message, status=status, code=_code(facts), request_id=request_id)
    kind = _KINDS.get(status, Refused)
    return kind(message, status=status, answer=facts, request_id=request_id)


def _code(facts: Mapping[str, Any]) -> str | None:
    code = facts.get("error_code") or facts.get("code")
    return str(code) if code else None
