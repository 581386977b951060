"""`/docs` and `/openapi.json`: everything is in them, with examples, from nowhere else."""

import json
import re
from html.parser import HTMLParser
from typing import Any

import httpx
import pytest

from tests.api.served import JOB, Running, promises


@pytest.fixture
def document(small_api: Running) -> dict[str, Any]:
    found: dict[str, Any] = small_api.get("/openapi.json").json()
    return found


def operations(document: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (verb.upper(), path, operation)
        for path, verbs in document["paths"].items()
        for verb, operation in verbs.items()
    ]


class Fetched(HTMLParser):
    """What a browser would fetch or run for the page."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        known = dict(attrs)
        if tag in ("script", "img", "iframe", "link", "object", "embed") or "src" in known:
            self.fetched.append(tag)


def test_every_request_is_on_the_page_and_nothing_comes_from_elsewhere(
    small_api: Running, document: dict[str, Any]
) -> None:
    page = small_api.get("/docs")
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    for verb, path, operation in operations(document):
        assert f'id="{operation["operationId"]}"' in page.text
        assert re.search(rf">{verb}</span> <code>{re.escape(path)}</code>", page.text)
    parser = Fetched()
    parser.feed(page.text)
    assert parser.fetched == []
    others = re.findall(r"https?://(?!127\.0\.0\.1)[^\s'\"<&]+", page.text)
    assert [each for each in others if "html_url" not in each] == []


def test_each_request_says_what_it_does_and_what_it_needs(document: dict[str, Any]) -> None:
    for verb, path, operation in operations(document):
        where = f"{verb} {path}"
        assert len(operation["summary"].split()) > 2, where
        assert operation["tags"], where
        free = path in ("/livez", "/readyz") or path.startswith("/v2/attempts/")
        assert ("x-scope" in operation) is not free, where
        assert ("security" in operation) is not free, where
    assert document["paths"]["/v2/job_executions"]["post"]["x-scope"] == "enqueue"


def test_an_example_is_taken_as_it_stands(small_api: Running, document: dict[str, Any]) -> None:
    asked = document["paths"]["/v2/job_executions"]["post"]
    body = asked["requestBody"]["content"]["application/json"]["example"]
    assert body.keys() == JOB.keys()
    answer = small_api.post("/v2/job_executions", body)
    assert answer.status_code == 201
    shown = asked["responses"]["201"]["content"]["application/json"]["example"]
    assert answer.json().keys() == shown.keys()


def test_what_an_example_answers_is_what_the_document_promises(document: dict[str, Any]) -> None:
    shown = 0
    for verb, path, operation in operations(document):
        asked = httpx.Request(verb, f"http://127.0.0.1{path}")
        for status, answer in operation["responses"].items():
            said = answer.get("content", {}).get("application/json", {})
            if "example" in said:
                promises().hold(httpx.Response(int(status), json=said["example"], request=asked))
                shown += 1
    assert shown > 20


def test_what_a_docstring_marks_as_code_is_code_and_nothing_is_html(small_api: Running) -> None:
    page = small_api.get("/docs").text
    assert "<code>next</code>" in page
    assert "{&#34;" in page or "&#34;" in page
    assert json.dumps({"name": "world"}).replace('"', "&#34;") in page
