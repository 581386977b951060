"""What the OpenAPI document promises of answers, held against each that a test of the API gets."""

import re
from collections.abc import Iterator
from typing import Any

import httpx
import jsonschema_rs

_JSON = "application/json"


class Promises:
    """The document's schemas of successes, taken strictly: no member that they don't name."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._shared = {name: _strict(each) for name, each in document["components"].items()}
        operations = [
            (verb.upper(), path, operation)
            for path, verbs in document["paths"].items()
            for verb, operation in verbs.items()
        ]
        operations.sort(key=lambda each: each[1].count("{"))
        self._operations = [(verb, _form(path), facts) for verb, path, facts in operations]
        self._validators: dict[str, Any] = {}

    def hold(self, answer: httpx.Response) -> None:
        """Fail on a success in JSON that the document does not describe."""
        if not answer.is_success or answer.headers.get("content-type") != _JSON:
            return
        for operation in self._of(answer.request):
            found = operation["responses"].get(str(answer.status_code))
            assert found is not None, f"{answer.request.url}: {answer.status_code} is undocumented"
            answer.read()
            self._hold(found["content"][_JSON]["schema"], answer)
            return

    def _of(self, request: httpx.Request) -> Iterator[dict[str, Any]]:
        for verb, form, operation in self._operations:
            if verb == request.method and form.fullmatch(request.url.path):
                yield operation

    def _hold(self, schema: dict[str, Any], answer: httpx.Response) -> None:
        key = repr(schema)
        if key not in self._validators:
            whole = {**_strict(schema), "components": self._shared}
            self._validators[key] = jsonschema_rs.Draft202012Validator(whole, validate_formats=True)
        faults = [str(each) for each in self._validators[key].iter_errors(answer.json())]
        assert not faults, f"{answer.request.method} {answer.request.url}: {faults[0]}"


def _form(path: str) -> re.Pattern[str]:
    """Return what addresses of the path look like; a user's id may have slashes."""
    return re.compile(re.sub(r"\{(\w+)\}", lambda n: ".+" if n[1] == "user_id" else "[^/]+", path))


def _strict(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_strict(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {"additionalProperties": False} if isinstance(schema.get("properties"), dict) else {}
    return closed | {name: _strict(each) for name, each in schema.items()}
