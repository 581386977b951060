"""Templates: an app's own words for its notices, rendered where they can do no harm.

What a template may do is little on purpose: it shows facts, chooses, and repeats the lines and
tags. It has no calls, no macros, no loop within a loop, no multiplying and few filters, so its
output and its time stay small whatever stands in it.
"""

from collections.abc import Mapping
from typing import Any

from jinja2 import TemplateError, nodes
from jinja2.exceptions import SecurityError
from jinja2.sandbox import ImmutableSandboxedEnvironment

LONGEST = 10_000
"""Characters of a template."""
_LONGEST_OUTPUT = 20_000
_FILTERS = frozenset(
    {"default", "d", "first", "join", "last", "length", "lower", "replace", "round", "trim"}
    | {"truncate", "upper"}
)
_FORBIDDEN: tuple[type[nodes.Node], ...] = (
    nodes.Call,
    nodes.Macro,
    nodes.CallBlock,
    nodes.Include,
    nodes.Import,
    nodes.FromImport,
)
_GROWING = frozenset({"*", "**", "%"})


class _Environment(ImmutableSandboxedEnvironment):
    intercepted_binops = _GROWING

    def __init__(self) -> None:
        super().__init__(trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=False)
        self.globals.clear()
        self.filters = {name: self.filters[name] for name in _FILTERS}

    def call_binop(self, _context: Any, operator: str, _left: Any, _right: Any) -> Any:
        raise SecurityError(f"{operator} is not allowed")


_environment = _Environment()


def check_template(text: str) -> None:
    """Raise `ValueError` that says what is wrong with the template."""
    if len(text) > LONGEST:
        raise ValueError(f"it is longer than {LONGEST:,} characters")
    try:
        tree = _environment.parse(text)
        if any(tree.find(kind) for kind in _FORBIDDEN):
            raise ValueError("it may show facts, but not call, define, include or import")
        if any(loop.recursive or loop.find(nodes.For) for loop in tree.find_all(nodes.For)):
            raise ValueError("a loop may not stand in a loop")
        _environment.from_string(text)
    except TemplateError as error:
        raise ValueError(f"it is no template: {error}") from None


def render(text: str, facts: Mapping[str, Any]) -> str:
    """Return what the template makes of the facts, cut at its limit; raises `ValueError`."""
    check_template(text)
    try:
        parts, size = [], 0
        for part in _environment.from_string(text).generate(**facts):
            parts.append(part)
            size += len(part)
            if size > _LONGEST_OUTPUT:
                break
    except (TemplateError, TypeError, ValueError, ArithmeticError, LookupError) as error:
        raise ValueError(f"the template can't be filled in: {error}") from None
    return "".join(parts)[:_LONGEST_OUTPUT]
