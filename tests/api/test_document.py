"""The OpenAPI document is true: what it does not allow is refused, and it lists every answer.

schemathesis makes requests of the document, fitting ones and others, and each answer is held
against it. `make soak` makes 20,000 of them.
"""

import logging
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
)

from barbeque_py.identity import EVERYBODY, Scope
from barbeque_py.issue import Wish, issue
from barbeque_py.release import release
from tests.api.served import Running, define, document, parts_of, promises, serving
from tests.stores import opened

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    negative_data_rejection,
]
CASES = 1_000
MANY = 20_000
"""Over all routes and both databases."""
DATABASES = ["sqlite", pytest.param("mariadb", marks=pytest.mark.mariadb)]


def serve(open_parts: ExitStack, request: pytest.FixtureRequest, folder: Any) -> Running:
    url = f"sqlite:///{folder / 'barbeque.db'}"
    if request.param == "mariadb":
        url = open_parts.enter_context(request.getfixturevalue("mariadb").database())
    store = open_parts.enter_context(opened(url))
    store.write(define)
    store.write(lambda tx: release(tx, EVERYBODY, "media", "media:1", pinned=None))
    wish = Wish("test", frozenset(Scope))
    _, text = store.write(lambda tx: issue(tx, EVERYBODY, wish))
    running = open_parts.enter_context(serving(parts_of(store, folder), ask_for_tokens=True))
    running.client.headers["authorization"] = f"Bearer {text}"
    return running


@pytest.fixture(scope="module", params=DATABASES)
def api(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    with ExitStack() as open_parts:
        yield serve(open_parts, request, tmp_path_factory.mktemp("document"))


def without_security() -> Any:
    found = document()
    for verbs in found["paths"].values():
        for operation in verbs.values():
            operation.pop("security", None)  # what happens without a token is test_rights' to say
    return found


DOCUMENT = without_security()
SCHEMA: Any = schemathesis.openapi.from_dict(DOCUMENT)
OPERATIONS = {operation.ok().label: operation.ok() for operation in SCHEMA.get_all_operations()}


@pytest.fixture(autouse=True)
def no_line_for_each_request(caplog: pytest.LogCaptureFixture) -> None:
    """Keep what is asked thousands of times out of the captured log."""
    caplog.set_level(logging.WARNING, "barbeque.api")


def modes(label: str) -> Iterator[GenerationMode]:
    """Yield how to ask: also as is not allowed, unless a route takes any text and nothing else.

    Looking for what such a route could refuse takes a thousand draws each time, in vain.
    """
    yield GenerationMode.POSITIVE
    verb, path = label.split()
    operation = DOCUMENT["paths"][path][verb.lower()]
    any_text = all(
        each["in"] == "path" and {**each["schema"], "title": ""} == {"type": "string", "title": ""}
        for each in operation.get("parameters", ())
    )
    if "requestBody" in operation or not any_text:
        yield GenerationMode.NEGATIVE


def try_out(api: Running, label: str, cases: int) -> None:
    """Ask so many times, half of it as the document allows and half not."""
    url = str(api.client.base_url)
    shown = {"Authorization": api.client.headers["authorization"]}
    for mode in modes(label):
        try:
            strategy = OPERATIONS[label].as_strategy(generation_mode=mode)
        except schemathesis.errors.SchemathesisError:
            continue

        @given(case=strategy)
        @settings(
            max_examples=max(1, cases // 2),
            deadline=None,
            database=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate],
        )
        def ask(case: Any) -> None:
            answer = case.call(base_url=url, headers=shown, timeout=30)
            case.validate_response(answer, checks=CHECKS)

        with suppress(Unsatisfiable):  # there is nothing that it could refuse
            ask()


def test_every_success_has_a_schema_and_an_answer_that_differs_from_it_fails() -> None:
    said = {
        (label, status): [each["schema"] for each in answer["content"].values()]
        for label, operation in OPERATIONS.items()
        for status, answer in operation.definition.raw["responses"].items()
        if status.startswith("2") and status != "204"
    }
    assert len(said) > 60
    assert [where for where, schemas in said.items() if not schemas or not all(schemas)] == []
    asked = httpx.Request("GET", "http://127.0.0.1/livez")
    promises().hold(httpx.Response(200, json={"status": "ok"}, request=asked))
    for facts in ({"status": "ok", "load": 1}, {"status": "fine"}, {}):
        with pytest.raises(AssertionError, match="/livez"):
            promises().hold(httpx.Response(200, json=facts, request=asked))


@pytest.mark.parametrize("label", OPERATIONS)
def test_answers_are_those_of_the_document(api: Running, label: str) -> None:
    try_out(api, label, CASES // len(OPERATIONS) // len(DATABASES))


@pytest.mark.soak
@pytest.mark.parametrize("label", OPERATIONS)
def test_all_of_many_answers_are_those_of_the_document(api: Running, label: str) -> None:
    try_out(api, label, MANY // len(OPERATIONS) // len(DATABASES))
