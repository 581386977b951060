"""The part of IAM's policies that decides whether a topic or a rule may write to a queue."""

import json
from fnmatch import fnmatchcase
from typing import Any

from tests.cloud.service import Json

_SOURCE_TESTS = {"arnequals", "arnlike", "stringequals", "stringlike"}


def allows(policy: str, action: str, resource: str, source: str) -> bool:
    """Tell whether the policy lets an AWS service act on the resource for the source's ARN."""
    statements = _several(json.loads(policy).get("Statement")) if policy else []
    speaking = [each for each in statements if _speaks(each, action, resource, source)]
    effects = {each.get("Effect") for each in speaking}
    return "Allow" in effects and "Deny" not in effects


def _speaks(statement: Json, action: str, resource: str, source: str) -> bool:
    actions = [each.lower() for each in _several(statement.get("Action"))]
    return (
        _names_service(statement.get("Principal"), source.split(":")[2])
        and any(fnmatchcase(action.lower(), each) for each in actions)
        and any(fnmatchcase(resource, each) for each in _several(statement.get("Resource")))
        and _source_fits(statement.get("Condition") or {}, source)
    )


def _names_service(principal: Any, service: str) -> bool:
    if not isinstance(principal, dict):
        return bool(principal == "*")
    named = [*_several(principal.get("Service")), *_several(principal.get("AWS"))]
    return "*" in named or f"{service}.amazonaws.com" in named


def _source_fits(condition: Json, source: str) -> bool:
    """Tell whether every condition holds; one on anything but the source's ARN does not."""
    for test, wants in condition.items():
        for key, values in wants.items():
            if key.lower() == "aws:sourceaccount":
                fits = source.split(":")[4] in _several(values)
            else:
                known = test.lower().removeprefix("foranyvalue:") in _SOURCE_TESTS
                about = known and key.lower() == "aws:sourcearn"
                fits = about and any(fnmatchcase(source, each) for each in _several(values))
            if not fits:
                return False
    return True


def _several(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
