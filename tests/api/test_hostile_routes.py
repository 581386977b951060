"""Bodies that no honest client sends, at every route: refused, and nothing breaks."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from barbeque_api.app import create_app
from tests.api.routes import WRITING, Route, routes_of
from tests.api.served import UNSEEN, Running, define, parts_of, serving
from tests.api.test_hostile_bodies import DEEP, HOSTILE
from tests.stores import opened

LEAST = 60
"""Bodies for each route."""

PATHS: dict[str, Any] = {
    "message_id": UNSEEN,
    "attempt_id": f"{UNSEEN}-1",
    "number": 1,
    "token_id": "nothing",
    "worker": "nothing",
    "app": "media",
    "name": "media",
    "user_id": "u1",
    "notice_id": UNSEEN,
    "job": "Thumbnail",
}
UNREADABLE = ["NaN", "Infinity", "-Infinity", "1e400", '"a\\u0000b"', '"\\ud800"', "1" * 5000, DEEP]
"""Values that make a body no JSON of ours, whatever the field."""
STRANGE: list[Any] = [
    True,
    -1,
    0.5,
    10**30,
    "",
    " ",
    "x" * 100_000,
    "\u202e\u0007\r\n",
    "../../etc/passwd",
    "'; DROP TABLE tokens; --",
    "<script>alert(1)</script>",
    "\U0001f4a9" * 300,
    [],
    [[]],
    [None],
    {},
    {"": None},
    {"$ref": "#"},
]
"""Values that are JSON, and mostly not what the field takes."""


def document() -> Any:
    nothing: Any = None
    app = create_app(parts_of(nothing, Path("/nowhere")))
    return app.openapi()["paths"], [each for each in routes_of(app) if each.verb in WRITING]


OPERATIONS, ROUTES = document()


def schema_of(route: Route) -> dict[str, Any] | None:
    """Return the schema of the JSON that the route takes; None where it takes none."""
    path = route.path.replace(":path}", "}")
    content = OPERATIONS[path][route.verb.lower()].get("requestBody", {}).get("content", {})
    found: dict[str, Any] | None = content.get("application/json", {}).get("schema")
    return found


def unreadable(schema: dict[str, Any]) -> Iterator[bytes]:
    """Yield what every route refuses for what JSON it is, or is not."""
    yield from (body for _, body, _ in HOSTILE if body)
    for name in schema["properties"]:
        for value in UNREADABLE:
            yield f"{{{json.dumps(name)}: {value}}}".encode()
        yield f'{{"{name}": 1, "{name}": 2}}'.encode()


def strange(schema: dict[str, Any]) -> Iterator[bytes]:
    """Yield objects with a value out of place."""
    for value in STRANGE:
        for name in schema["properties"]:
            yield json.dumps({name: value}).encode()
        yield json.dumps({"no field of anybody's": value}).encode()
        yield json.dumps(dict.fromkeys(schema["properties"], value)).encode()


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("hostile")
    with ExitStack() as open_parts:
        store = open_parts.enter_context(opened(f"sqlite:///{folder / 'barbeque.db'}"))
        store.write(define)
        yield open_parts.enter_context(serving(parts_of(store, folder)))


@pytest.mark.parametrize(
    "route", [each for each in ROUTES if schema_of(each)], ids=lambda route: route.name
)
def test_a_route_takes_no_hostile_body_and_breaks_at_none(api: Running, route: Route) -> None:
    schema = schema_of(route)
    assert schema is not None
    bad, odd = list(islice(unreadable(schema), 50)), list(islice(strange(schema), 60))
    assert len(bad) + len(odd) >= LEAST
    path = route.at(**PATHS)
    headers = {"content-type": "application/json"}
    for body in bad:
        answer = api.client.request(route.verb, path, content=body, headers=headers)
        assert 400 <= answer.status_code < 500, (body[:80], answer.text)
    for body in odd:
        answer = api.client.request(route.verb, path, content=body, headers=headers)
        assert answer.status_code < 500, (body[:80], answer.text)
        assert len(answer.content) < 10_000


@pytest.mark.parametrize(
    "route", [each for each in ROUTES if not schema_of(each)], ids=lambda route: route.name
)
def test_a_route_that_takes_other_bodies_or_none_breaks_at_none(api: Running, route: Route) -> None:
    kinds = ("application/json", "application/yaml", "application/octet-stream", "")
    for number, (_, body, _) in enumerate(HOSTILE):
        headers = {"content-type": kinds[number % len(kinds)]}
        answer = api.client.request(route.verb, route.at(**PATHS), content=body, headers=headers)
        assert answer.status_code < 500, (body[:80], answer.text)
