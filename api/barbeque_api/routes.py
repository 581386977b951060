"""Routes, and what the document says of their answers: the types that their endpoints return.

Nothing is checked against them while the API runs: mypy has seen that each endpoint answers what
it says, and the tests hold each answer they get against the document.
"""

from collections.abc import Callable, Sequence
from typing import Any, Union, get_args, get_origin, get_type_hints

from fastapi import APIRouter
from fastapi.responses import Response, StreamingResponse
from fastapi.routing import APIRoute
from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema

from barbeque_api.problems import Answer

ANY_JSON: dict[str, Any] = {
    "content": {"application/json": {"schema": {"description": "any JSON value"}}}
}
"""What is said of an answer that is whatever somebody else has put there."""
AN_APPLY_FILE: dict[str, Any] = {
    "content": {"application/yaml": {"schema": {"type": "object", "description": "an apply file"}}}
}

_REFERENCE = "#/components/schemas/{model}"


class Routes(APIRouter):
    """A router whose endpoints make their answers themselves."""

    def add_api_route(self, path: str, endpoint: Callable[..., Any], **facts: Any) -> None:
        """Add the route; what its endpoint returns is sent as it is."""
        super().add_api_route(path, endpoint, **facts, response_model=None)


class Yaml(Response):
    """A value as YAML."""

    media_type = "application/yaml"


class Events(StreamingResponse):
    """Server-sent events."""

    media_type = "text/event-stream"


class _Plain(GenerateJsonSchema):
    """Writes schemas without titles, which repeat the names."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 - pydantic's own
        return False


def schemas_of(routes: Sequence[APIRoute]) -> tuple[list[Any], dict[str, Any]]:
    """Return the schema of what each route answers in JSON, and the parts that schemas share.

    None stands for a route whose answers are something else.
    """
    types = list(enumerate(_type_of(route.endpoint) for route in routes))
    found, shared = TypeAdapter.json_schemas(
        [(number, "serialization", TypeAdapter(kind)) for number, kind in types if kind],
        ref_template=_REFERENCE,
        schema_generator=_Plain,
    )
    schemas = [found.get((number, "serialization")) for number, _ in types]
    return schemas, shared.get("$defs", {})


def _type_of(endpoint: Callable[..., Any]) -> Any:
    """Return the type of the value that the endpoint answers with, None for other answers."""
    said = get_type_hints(endpoint, include_extras=True)["return"]
    kinds = get_args(said) if get_origin(said) is Union else (said,)
    found = [get_args(kind)[0] for kind in kinds if get_origin(kind) is Answer]
    return found[0] if found else None
