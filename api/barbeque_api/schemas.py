"""What requests may say, for the OpenAPI document; the readers themselves are stricter."""

from typing import Any

from barbeque_py.identity import Scope

_TEXT = {"type": "string"}
_DELAY = {"type": ["integer", "null"], "minimum": 0, "maximum": 900}

ENQUEUE: dict[str, Any] = {
    "type": "object",
    "required": ["application", "job", "message"],
    "additionalProperties": False,
    "properties": {
        "application": _TEXT,
        "job": _TEXT,
        "queue": _TEXT,
        "message": {"description": "any JSON value but null"},
        "delay_seconds": _DELAY,
        "idempotency_key": {"type": ["string", "null"], "minLength": 1, "maxLength": 255},
        "run_at": {"type": "string", "format": "date-time"},
        "priority": {"type": "integer", "minimum": -100, "maximum": 100},
        "timeout": {
            "description": "seconds, or a duration such as 15m",
            "type": ["number", "string"],
        },
        "concurrency_key": _TEXT,
        "user_id": _TEXT,
        "notify": {"type": "object"},
        "tags": {"type": "object", "additionalProperties": _TEXT},
    },
}
_ITEM = {
    "description": "as the body of POST /v2/job_executions; one with a fault is refused alone",
}
BATCH: dict[str, Any] = {
    "type": "object",
    "required": ["jobs"],
    "additionalProperties": False,
    "properties": {"jobs": {"type": "array", "minItems": 1, "maxItems": 1000, "items": _ITEM}},
}
RETRY: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "delay_seconds": _DELAY,
        "image": {"enum": ["same", "current"], "default": "same"},
        "message": {"description": "any JSON value but null, in place of the one it had"},
    },
}
BULK: dict[str, Any] = {
    "type": "object",
    "required": ["action", "filter"],
    "additionalProperties": False,
    "properties": {
        "action": {"enum": ["cancel", "retry", "delete"]},
        "filter": {"type": "object", "minProperties": 1},
        "dry_run": {"type": "boolean"},
        "expected": {"type": "integer", "minimum": 0},
        "image": {"enum": ["same", "current"], "default": "same"},
    },
}
CANCEL: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {"application": _TEXT, "force": {"type": "boolean", "default": False}},
}
SUBSCRIPTION: dict[str, Any] = {
    "type": "object",
    "required": ["topic", "app", "job"],
    "additionalProperties": False,
    "properties": {"topic": _TEXT, "queue": _TEXT, "app": _TEXT, "job": _TEXT},
}
USER: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "emails": {"type": "array", "maxItems": 10, "items": {"type": "string", "format": "email"}},
        "slack": {"description": "a member id", "type": ["string", "null"]},
        "locale": {"enum": ["en", "ja", None]},
        "time_zone": {"description": "as in Asia/Tokyo", "type": ["string", "null"]},
        "hears": {"type": "array", "items": {"enum": ["success", "failure"]}},
    },
}
TEST_NOTICE: dict[str, Any] = {
    "type": "object",
    "required": ["app"],
    "additionalProperties": False,
    "properties": {
        "app": _TEXT,
        "job": _TEXT,
        "channel": {"enum": ["email", "slack"]},
        "target": _TEXT,
    },
}
REVISION: dict[str, Any] = {
    "type": "object",
    "required": ["revision"],
    "additionalProperties": False,
    "properties": {"revision": _TEXT},
}
RELEASE: dict[str, Any] = {
    "type": "object",
    "required": ["image"],
    "additionalProperties": False,
    "properties": {"image": _TEXT, "note": {"type": ["string", "null"], "maxLength": 1000}},
}
ROLLBACK: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "to": {"type": ["integer", "null"], "minimum": 1},
        "current": {"type": ["integer", "null"], "minimum": 1},
        "note": {"type": ["string", "null"], "maxLength": 1000},
    },
}
TOKEN: dict[str, Any] = {
    "type": "object",
    "required": ["name", "scopes"],
    "additionalProperties": False,
    "properties": {
        "name": _TEXT,
        "app": {"type": ["string", "null"]},
        "scopes": {"type": "array", "items": {"enum": [str(scope) for scope in Scope]}},
        "lifetime": {"type": "string", "description": "a duration such as 90d; 365d by default"},
    },
}
ROTATION: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "overlap": {"type": "string", "description": "a duration such as 12h; 1d by default"}
    },
}
REST: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "reason": {"type": "string", "maxLength": 500},
        "lasts": {"type": "string", "description": "a duration such as 2h, up to 366d"},
    },
}
DEAD: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {"body": _TEXT},
}


def body(schema: dict[str, Any], *, required: bool = True) -> dict[str, Any]:
    """Return the OpenAPI text for a body of JSON."""
    return {
        "requestBody": {"required": required, "content": {"application/json": {"schema": schema}}}
    }
