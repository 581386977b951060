"""`/docs`: the OpenAPI document as a page to read, made here: no script, nothing from elsewhere."""

import json
from collections.abc import Mapping
from functools import cached_property
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import HTMLResponse, Response
from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup, escape

from barbeque_api.rights import open_to_all

PATH = "/docs"

_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'"
    )
}


class DocsPage:
    """Shows what the API can be asked."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app

    @cached_property  # as it takes longer than all routes together, and few APIs are asked for it
    def _template(self) -> Template:
        environment = Environment(
            loader=PackageLoader("barbeque_api"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        environment.filters["written"] = _written
        environment.filters["kind"] = _kind
        environment.filters["curl"] = _curl
        environment.filters["words"] = _words
        return environment.get_template("docs.html")

    def add_to(self, router: APIRouter) -> None:
        """Add the route."""
        router.add_api_route(
            PATH,
            self.show,
            methods=["GET"],
            include_in_schema=False,
            dependencies=[open_to_all()],
        )

    def show(self, request: Request) -> Response:
        """Show every request by its noun, with its fields, answers and examples."""
        document = self._app.openapi()
        html = self._template.render(
            info=document["info"],
            groups=_by_noun(document),
            schemas=document["components"].get("schemas", {}),
            base=str(request.base_url).rstrip("/"),
        )
        return HTMLResponse(html, headers=_HEADERS)


def _by_noun(document: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
    groups: dict[str, list[dict[str, Any]]] = {each["name"]: [] for each in document["tags"]}
    for path, verbs in document["paths"].items():
        for verb, operation in verbs.items():
            body = operation.get("requestBody", {}).get("content", {})
            facts = {
                "verb": verb.upper(),
                "path": path,
                "anchor": operation["operationId"],
                "scope": operation.get("x-scope"),
                "summary": operation["summary"],
                "description": operation["description"],
                "parameters": operation.get("parameters", []),
                "body": body.get("application/json"),
                "answers": operation["responses"],
            }
            groups.setdefault(operation["tags"][0], []).append(facts)
    return {noun: found for noun, found in groups.items() if found}


def _written(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


def _words(text: str) -> Markup:
    """Write what stands between backticks as code."""
    pieces = str(escape(text)).split("`")
    return Markup("").join(  # each piece is escaped above
        Markup(f"<code>{piece}</code>" if number % 2 else piece)  # noqa: S704 - as said
        for number, piece in enumerate(pieces)
    )


def _kind(schema: Mapping[str, Any], schemas: Mapping[str, Any]) -> str:
    """Write what a field may be, in a few words."""
    schema = schemas.get(schema.get("$ref", "").rpartition("/")[2], schema)
    if "enum" in schema:
        return " | ".join(json.dumps(each) for each in schema["enum"])
    if "anyOf" in schema:
        return " | ".join(_kind(each, schemas) for each in schema["anyOf"])
    if schema.get("type") == "array":
        return f"list of {_kind(schema.get('items', {}), schemas)}"
    kind = schema.get("type", "any JSON")
    words = " | ".join(kind) if isinstance(kind, list) else str(kind)
    limits = [
        f"{name} {schema[field]:,}"
        for name, field in (("from", "minimum"), ("to", "maximum"), ("up to", "maxLength"))
        if field in schema
    ]
    return " ".join([words, *limits])


def _curl(operation: Mapping[str, Any], base: str) -> str:
    """Write the request as curl makes it."""
    words = ["curl", "-s"]
    example = (operation["body"] or {}).get("example")
    if operation["verb"] != ("GET" if example is None else "POST"):
        words += ["-X", operation["verb"]]
    words.append(f"'{base}{operation['path']}'")
    if operation["scope"]:
        words.append('-H "Authorization: Bearer $BARBEQUE_TOKEN"')
    if example is not None:
        text = json.dumps(example, ensure_ascii=False).replace("'", "'\\''")
        words += ["-H 'Content-Type: application/json'", f"-d '{text}'"]
    return " ".join(words)
