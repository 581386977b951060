"""Bodies of requests: read up to a limit, taken strictly."""

from collections.abc import Callable, Collection
from datetime import timedelta
from typing import Any

from fastapi import Request

from barbeque_api.problems import Refusal, refusal
from barbeque_py import strict_json
from barbeque_py.suspend import Rest

LONGEST_DELAY = timedelta(minutes=15)
_SHOWN = 60


async def read_body(request: Request, limit: int) -> bytes:
    """Return the body; raises a `Refusal` (413) as soon as it is longer than `limit` bytes."""
    said = request.headers.get("content-length", "")
    if said.isdecimal() and len(said) < 20 and int(said) > limit:  # noqa: PLR2004 - digits
        raise _too_large(limit)
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise _too_large(limit)
        chunks.append(chunk)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


async def read_object(
    request: Request,
    limit: int,
    *,
    known: Collection[str],
    may_be_empty: bool = False,
    most_keys: int = 10_000,
) -> dict[str, Any]:
    """Return the body as a JSON object of known fields; raises a `Refusal` that names the fault."""
    body = await read_body(request, limit)
    if may_be_empty and not body:
        return {}
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise refusal(400, f"Content-Type is {kind[:_SHOWN]!r}; send application/json")
    try:
        value = strict_json.loads(body, max_keys=most_keys)
    except ValueError as error:
        raise refusal(400, f"the body is refused: {error}") from None
    if not isinstance(value, dict):
        raise refusal(400, f"the body is {shown(value)}, not a JSON object")
    refuse_strangers(value, known)
    return value


def refuse_strangers(facts: dict[str, Any], known: Collection[str]) -> None:
    """Raise a `Refusal` that names a field which is not known."""
    if not facts.keys() <= frozenset(known):
        strange = min(facts.keys() - known)
        fault = f"{shown(strange)} is not a field; known: {', '.join(sorted(known))}"
        raise refusal(400, fault)


def read_text(facts: dict[str, Any], name: str) -> str | None:
    """Return the field's text, None when it is absent or null."""
    value = facts.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or not value:
        raise refusal(400, f"{name}: {shown(value)} is not a text of at least one character")
    return value


def read_flag(facts: dict[str, Any], name: str) -> bool:
    """Return whether the field says yes; it says no when it is absent or null."""
    value = facts.get(name) or False
    if not isinstance(value, bool):
        raise refusal(400, f"{name}: {shown(value)} is neither true nor false")
    return value


async def read_rest(request: Request, limit: int) -> Rest:
    """Return why something is to rest and for how long, as a body of `reason` and `lasts` says."""
    facts = await read_object(request, limit, known=("reason", "lasts"), may_be_empty=True)
    try:
        return Rest.read(read_text(facts, "reason"), read_text(facts, "lasts"))
    except ValueError as error:
        raise refusal(400, str(error)) from None


def read_delay(facts: dict[str, Any], too_long: Callable[[str], Refusal]) -> timedelta:
    """Return `delay_seconds`, zero when it is absent or null; `too_long` refuses other lengths."""
    value = facts.get("delay_seconds")
    if value is None:
        return timedelta(0)
    if isinstance(value, bool) or not isinstance(value, int):
        raise refusal(400, f"delay_seconds: {shown(value)} is not a whole number of seconds")
    most = int(LONGEST_DELAY.total_seconds())
    if not 0 <= value <= most:
        raise too_long(f"delay_seconds: {shown(value)} is not from 0 to {most}")
    return timedelta(seconds=value)


def shown(value: object) -> str:
    """Write the value for people, cut short: it may be long, and it is not ours."""
    text = strict_json.dumps(value)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."


def _too_large(limit: int) -> Refusal:
    return refusal(413, f"the body is larger than {limit:,} bytes")
