"""A message as a tree that can be folded: every number as it was sent, every key as often."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

_MOST_NODES = 1_000
_DEEPEST = 30


@dataclass(frozen=True, slots=True)
class Node:
    """One value of the message."""

    key: str | None
    """Its key in the object that it is in, or its place in the array; None for the whole."""
    kind: str
    """object, array, string, number or word (true, false, null)."""
    text: str = ""
    """What a value without children says."""
    children: Sequence["Node"] = ()


class _Number(str):
    """A number's digits, none of them lost."""

    __slots__ = ()


class _Pairs(list[tuple[str, Any]]):
    """What stands in an object, repeated keys too."""


def tree_of(text: str) -> Node | None:
    """Return the message's tree; None for what is no JSON, and for what is too much to show."""
    try:
        value = json.loads(
            text,
            object_pairs_hook=_Pairs,
            parse_int=_Number,
            parse_float=_Number,
            parse_constant=_Number,
        )
    except (ValueError, RecursionError):
        return None
    left = iter(range(_MOST_NODES))
    try:
        return _node(None, value, 0, left)
    except StopIteration:
        return None


def _node(key: str | None, value: Any, depth: int, left: Iterator[int]) -> Node:
    """Return the value as a node; raise `StopIteration` where there are too many, or too deep."""
    next(left)
    if depth > _DEEPEST:
        raise StopIteration
    if isinstance(value, _Pairs):
        pairs = [_node(name, each, depth + 1, left) for name, each in value]
        return Node(key, "object", children=pairs)
    if isinstance(value, list):
        items = [_node(str(n), each, depth + 1, left) for n, each in enumerate(value)]
        return Node(key, "array", children=items)
    if isinstance(value, _Number):
        return Node(key, "number", str(value))
    if isinstance(value, str):
        return Node(key, "string", json.dumps(value, ensure_ascii=False))
    return Node(key, "word", json.dumps(value))
