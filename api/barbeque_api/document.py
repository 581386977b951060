"""The answers of the OpenAPI document: those that a route declares, and those that all share.

**Where a route is added** it declares what is its own: its right (`dependencies=[needs(...)]`), the
body it reads (`openapi_extra=schemas.body(...)`, as strict as the reader), its usual status
(`status_code`), and each further status that its code answers with
(`responses=answers(202, 409)`). All that every route of its kind answers is added here: 400 for a
body, a parameter or a header that is wrong, 401, 403, 429 and 503 where a right is needed, 404
where the path names a thing, 413 for a body. A test asks every route thousands of times and fails
on an answer that is not in the document.
"""

from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

from barbeque_api.problems import PROBLEM, is_barbeques
from barbeque_api.rights import OPEN_PATHS

TICKETS = "/v2/attempts/"
_VERBS = frozenset({"get", "post", "put", "delete"})
_MEMBERS: dict[str, Any] = {
    "status_code": {"type": "integer"},
    "error_code": {"type": "string"},
    "message": {"type": "string"},
}
_SCHEMAS: dict[str, Any] = {
    "Error": {
        "description": "What is wrong; as Barbeque says it, in one of three shapes.",
        "anyOf": [
            {"type": "object", "required": list(_MEMBERS), "properties": _MEMBERS},
            {"type": "object", "required": ["message"], "properties": {"message": {}}},
            {"type": "object", "required": ["error"], "properties": {"error": {}}},
        ],
    },
    "Problem": {
        "description": "What is wrong, as RFC 9457 has it, with Barbeque's members beside.",
        "type": "object",
        "required": ["type", "title", "status", "detail"],
        "properties": {
            "type": {"type": "string"},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string"},
        }
        | _MEMBERS,
    },
}


def answers(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return what a route is added with that answers so, too: `responses=answers(202, 409)`."""
    return {status: {"description": HTTPStatus(status).phrase} for status in statuses}


def complete(document: dict[str, Any]) -> None:
    """Add to each route the answers that all of its kind have, and what an error looks like."""
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    schemas.update(_SCHEMAS)
    for path, verbs in document["paths"].items():
        for verb in verbs.keys() & _VERBS:
            _complete(path, verb, verbs[verb])


def say_of_answers(operation: dict[str, Any], schema: dict[str, Any] | None) -> None:
    """Put the schema wherever nothing is said yet of an answer in JSON."""
    for answer in operation["responses"].values() if schema else ():
        content = answer.get("content", {}).get("application/json")
        if content is not None and not content.get("schema"):
            content["schema"] = schema


def _complete(path: str, verb: str, operation: dict[str, Any]) -> None:
    """Add the answers that the route shares with others, and what each error looks like."""
    found = operation.setdefault("responses", {})
    if "HTTPValidationError" in str(found.get("422")):
        del found["422"]
    for status in _shared(path, operation):
        found.setdefault(str(status), {"description": HTTPStatus(status).phrase})
    barbeques = is_barbeques(verb.upper(), path)
    kind, shape = ("application/json", "Error") if barbeques else (PROBLEM, "Problem")
    for status, answer in found.items():
        if int(status) >= HTTPStatus.BAD_REQUEST and path not in OPEN_PATHS:
            schema = {"$ref": f"#/components/schemas/{shape}"}
            answer["content"] = {kind: {"schema": schema}}
        elif int(status) != HTTPStatus.NO_CONTENT:
            answer.setdefault("content", {"application/json": {"schema": {}}})


def _shared(path: str, operation: dict[str, Any]) -> Iterator[int]:
    yield 400
    if "requestBody" in operation:
        yield 413
    if "{" in path:
        yield 404
    if path.startswith(TICKETS):
        yield 503
    elif path not in OPEN_PATHS:
        yield from (401, 403, 429, 503)
