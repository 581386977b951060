"""Answers as JSON, those of errors above all: Barbeque's shapes, and RFC 9457's around them.

A route of Barbeque's answers an error as Barbeque did. Any other answers a problem as RFC 9457 has
it, in which Barbeque's members stand too, so that one reader understands both.
"""

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Generic, TypeVar

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException
from starlette.types import Scope
from typing_extensions import TypedDict

from barbeque_py.errors import (
    Forbidden,
    NoDeadMessage,
    Outrun,
    OutsideError,
    QueueRefused,
    RequestError,
    StillOpen,
    UnknownApp,
    UnknownExecution,
    UnknownJob,
    UnknownNotice,
    UnknownQueue,
    UnknownRevision,
    UnknownSchedule,
    UnknownToken,
    UnknownWorker,
)
from barbeque_py.manifest import ManifestError

RETRY_AFTER = {"retry-after": "5"}
"""Seconds after which a client may try again what failed for another system's sake."""

PROBLEM = "application/problem+json"

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

_CODES = {
    400: "invalid_parameter",
    404: "record_not_found",
    405: "method_not_allowed",
    409: "conflict",
    413: "body_too_large",
    422: "invalid_manifest",
}
_TITLES = {413: "Content Too Large", 422: "Unprocessable Content"}
"""RFC 9110's words where Python's are older ones."""

_UNKNOWN = (
    NoDeadMessage,
    UnknownApp,
    UnknownExecution,
    UnknownJob,
    UnknownNotice,
    UnknownQueue,
    UnknownRevision,
    UnknownSchedule,
    UnknownToken,
    UnknownWorker,
)


class Refusal(Exception):
    """The request is answered with this body instead of what it asked for."""

    def __init__(self, status: int, body: Mapping[str, Any], headers: dict[str, str]) -> None:
        super().__init__(body)
        self.status = status
        self.body = body
        self.headers = headers


class Fault(TypedDict):
    """What is wrong, in Barbeque's words."""

    status_code: int
    error_code: str
    message: str


class Answer(Response, Generic[T_co]):
    """A value as JSON; what an endpoint says it returns is what the document says of it."""

    media_type = "application/json"


def answer(value: T, *, status: int = 200, headers: dict[str, str] | None = None) -> Answer[T]:
    """Return the value as compact JSON."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return Answer(text.encode(), status, headers)


def answer_problem(
    scope: Scope, status: int, body: Mapping[str, Any], headers: dict[str, str] | None = None
) -> Response:
    """Return the error in the shape of the route that was asked for; `body` is Barbeque's."""
    response: Response = answer(body, status=status, headers=headers)
    if is_barbeques(scope["method"], scope["path"]):
        return response
    detail = body.get("message") or body.get("error")
    title = _TITLES.get(status) or HTTPStatus(status).phrase
    members = {"type": "about:blank", "title": title, "status": status}
    response = answer({**members, "detail": detail, **body}, status=status, headers=headers)
    response.headers["content-type"] = PROBLEM
    return response


def is_barbeques(method: str, path: str) -> bool:
    """Tell whether the route is one of Barbeque's, whose answers stay as they were."""
    return path.startswith("/v1/") or (method, path) == ("POST", "/v2/job_executions")


def describe(status: int, message: str) -> Fault:
    """Return the shape of an error that a client can do something about."""
    code = _CODES.get(status) or HTTPStatus(status).name.lower()
    return {"status_code": status, "error_code": code, "message": message}


def refusal(status: int, message: str, headers: dict[str, str] | None = None) -> Refusal:
    """Return the exception that answers with this status and sentence."""
    return Refusal(status, describe(status, message), headers or {})


def service_refusal(message: str) -> Refusal:
    """Return Barbeque's other 400, for what its enqueueing refuses behind the parameters."""
    return Refusal(400, {"error": message}, {})


def unavailable(message: str) -> Refusal:
    """Return the 503 for a system behind us that is away."""
    return Refusal(503, {"message": message}, RETRY_AFTER)


def translate(error: Exception) -> Refusal:
    """Return what the caller is told about one of our errors: never an address or a secret."""
    match error:
        case Refusal():
            return error
        case ManifestError():
            return _refuse_manifest(error)
        case RequestError():
            return refusal(_status_of(error), str(error))
        case OutsideError():
            return unavailable("a system behind this API is away; try again later")
    return _translate_framework(error)


def _status_of(error: RequestError) -> int:
    match error:
        case StillOpen() | Outrun() | QueueRefused():
            return 409
        case Forbidden():
            return 403
    return 404 if isinstance(error, _UNKNOWN) else 400


def _translate_framework(error: Exception) -> Refusal:
    if isinstance(error, HTTPException):
        return _refuse_route(error)
    if isinstance(error, RequestValidationError):
        return refusal(400, "; ".join(map(_sentence, error.errors())))
    raise error


def install(app: FastAPI) -> None:
    """Make the app answer every error in these shapes."""
    for kind in (Refusal, RequestError, OutsideError, HTTPException, RequestValidationError):
        app.add_exception_handler(kind, _answer_error)


def answer_error(scope: Scope, error: Exception) -> Response:
    """Return the answer to this error, and leave its cause for the log; others are raised."""
    found = translate(error)
    if isinstance(error, OutsideError):
        scope.setdefault("state", {})["cause"] = error
    return answer_problem(scope, found.status, found.body, found.headers)


async def _answer_error(request: Request, error: Exception) -> Response:
    return answer_error(request.scope, error)


def _refuse_manifest(error: ManifestError) -> Refusal:
    problems = [
        {"line": each.line, "column": each.column, "path": each.path, "message": each.message}
        for each in error.problems
    ]
    return Refusal(422, {**describe(422, str(error)), "problems": problems}, {})


def _refuse_route(error: HTTPException) -> Refusal:
    match error.status_code:
        case 404:
            message = "nothing has this address"
        case 405:
            message = f"this address takes {(error.headers or {}).get('Allow', 'other methods')}"
        case _:
            message = HTTPStatus(error.status_code).phrase
    headers = dict(error.headers or {})
    return Refusal(error.status_code, describe(error.status_code, message), headers)


def _sentence(fault: Any) -> str:
    name = ".".join(str(part) for part in fault["loc"][1:])
    return f"{name}: {fault['msg']}"
