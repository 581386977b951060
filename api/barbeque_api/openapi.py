"""The OpenAPI document: what the routes say of themselves, the rights they need, and examples."""

import json
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute

from barbeque_api.document import complete, say_of_answers
from barbeque_api.gate import JOB_PATHS
from barbeque_api.rights import Needs
from barbeque_api.routes import schemas_of

Json = dict[str, Any]

TITLE = "barbeque_py"
DESCRIPTION = (
    "Asks for jobs to be run, and tells how they stand. Times are UTC, RFC 3339. Errors are "
    "problems (RFC 9457); Barbeque's own routes answer theirs as Barbeque did."
)
SCHEME = "token"

_EXAMPLES = "examples.json"
_NOUNS = {
    "job_executions": "Executions",
    "attempts": "For jobs",
    "apps": "Apps and releases",
    "apply": "Apps and releases",
    "export": "Apps and releases",
    "queues": "Queues",
    "dead_messages": "Dead messages",
    "workers": "Workers",
    "subscriptions": "Subscriptions",
    "tokens": "Tokens",
    "audit": "Audit",
    "notices": "Notices",
    "livez": "Health",
    "readyz": "Health",
}


def describe(app: FastAPI, routes: Iterable[BaseRoute]) -> Json:
    """Return the OpenAPI document of the app, which has these routes; made once."""
    if app.openapi_schema is None:
        document = FastAPI.openapi(app)
        complete(document)
        document["info"]["description"] = DESCRIPTION
        document.setdefault("components", {})["securitySchemes"] = {
            SCHEME: {"type": "http", "scheme": "bearer", "description": "bq_<id>_<secret>"}
        }
        found = list(_operations(routes, document))
        schemas, shared = schemas_of([route for *_, route in found])
        document["components"]["schemas"] |= shared
        for (path, verb, operation, route), schema in zip(found, schemas, strict=True):
            say_of_answers(operation, schema)
            _enrich(operation, route, path, verb)
        document["tags"] = [{"name": noun} for noun in dict.fromkeys(_NOUNS.values())]
        app.openapi_schema = document
    return app.openapi_schema


def _operations(
    routes: Iterable[BaseRoute], document: Json
) -> Iterable[tuple[str, str, Json, APIRoute]]:
    for route in routes:
        if isinstance(route, APIRoute) and route.path_format in document["paths"]:
            for verb in sorted(route.methods or ()):
                yield (
                    route.path_format,
                    verb,
                    document["paths"][route.path_format][verb.lower()],
                    route,
                )


def _enrich(operation: Json, route: APIRoute, path: str, verb: str) -> None:
    """Say in words what it is for, what it needs, and give an example."""
    summary, _, rest = (operation.get("description") or "").partition("\n")
    operation["summary"] = summary.rstrip(".")
    operation["description"] = " ".join(rest.split())
    operation["tags"] = [_noun(path)]
    if (scope := _scope(route)) is not None:
        operation["security"] = [{SCHEME: []}]
        operation["x-scope"] = scope
    _give_examples(operation, _examples().get(f"{verb} {path}", {}))


def _noun(path: str) -> str:
    words = [word for word in path.split("/") if word and word not in ("v1", "v2")]
    return _NOUNS.get(words[0], words[0].replace("_", " ").capitalize())


def _scope(route: APIRoute) -> str | None:
    if route.path.startswith(JOB_PATHS):
        return None
    found = [each.dependency for each in route.dependencies]
    return next((str(each.scope) for each in found if isinstance(each, Needs)), None)


@cache
def _examples() -> Mapping[str, Json]:
    text = files("barbeque_api").joinpath(_EXAMPLES).read_text(encoding="utf-8")
    found: dict[str, Json] = json.loads(text)
    return found


def _give_examples(operation: Json, known: Json) -> None:
    asked = operation.get("requestBody", {}).get("content", {}).get("application/json")
    if asked is not None and "request" in known:
        asked["example"] = known["request"]
    for status, response in operation["responses"].items():
        shown = response.get("content", {}).get("application/json")
        if shown is not None and status.startswith("2") and "answer" in known:
            shown["example"] = known["answer"]
            return
