"""What a change is made of: the keys of the apply file whose values differ."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from barbeque_py import strict_json
from barbeque_py.manifest import Thing, facts_of


def differences(before: Thing | None, after: Thing | None) -> list[dict[str, Any]]:
    """Return the keys that differ, as `retry.limit`; null stands for the default, and for nothing.

    Values are as an apply file says them.
    """
    left, right = (dict(flat(facts_of(each))) for each in (before, after))
    return [
        {"key": key, "before": left.get(key), "after": right.get(key)}
        for key in {**left, **right}
        if left.get(key) != right.get(key)
    ]


def state_of(things: Iterable[tuple[str, str, Thing | None]]) -> str:
    """Return a text that differs when any of these does, each with its kind and name."""
    facts = sorted((kind, name, strict_json.dumps(facts_of(each))) for kind, name, each in things)
    return hashlib.sha256(strict_json.dumps(facts).encode()).hexdigest()[:16]


def flat(facts: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each value under its whole key, as `retry.limit`."""
    for name, value in facts.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
