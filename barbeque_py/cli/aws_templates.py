"""The templates that make an installation in AWS, in the order of their stacks."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from barbeque_py.cli.exits import Code, Failure

KEPT = ("network", "data")
"""The stacks that `destroy` leaves: what holds something, and the network that it is in."""

_IN_A_WHEEL = Path(__file__).parent.parent / "cloudformation"
_IN_THE_REPOSITORY = Path(__file__).parents[2] / "deploy" / "cloudformation"


@dataclass(frozen=True, slots=True)
class Template:
    """One template; its outputs are parameters of those after it."""

    name: str
    """What its stack is called behind `barbeque-INSTALLATION-`."""
    body: str
    """The text that AWS is given, comments and all."""
    parsed: Mapping[str, Any]
    """The same as JSON, functions in their long form."""

    @property
    def parameters(self) -> Mapping[str, Mapping[str, Any]]:
        """What can, or must, be said."""
        return dict(self.parsed.get("Parameters", {}))

    @property
    def resources(self) -> Mapping[str, Mapping[str, Any]]:
        """What it makes."""
        return dict(self.parsed["Resources"])

    @property
    def outputs(self) -> Mapping[str, Any]:
        """What it tells."""
        return dict(self.parsed.get("Outputs", {}))


@cache
def templates(folder: Path | None = None) -> tuple[Template, ...]:
    """Return the templates, each after those whose outputs it needs; ours without a folder."""
    ours = _IN_A_WHEEL if _IN_A_WHEEL.is_dir() else _IN_THE_REPOSITORY
    paths = sorted((folder or ours).glob("[0-9]-*.yaml"))
    if not paths:
        raise Failure(f"{folder or ours} has no templates, named as in 1-network.yaml", Code.USAGE)
    return tuple(read_template(path.stem.partition("-")[2], path.read_text()) for path in paths)


def template_of(name: str) -> Template:
    """Return the template of the stack that is called so."""
    return next(each for each in templates() if each.name == name)


def read_template(name: str, body: str) -> Template:
    """Read a template's text."""
    return Template(name, body, yaml.load(body, _Loader))  # noqa: S506 - as safe as its base


class _Loader(yaml.SafeLoader):
    """YAML as CloudFormation writes it: `!Ref` and `!Sub` for what JSON spells out."""


def _function(loader: _Loader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    if isinstance(node, yaml.ScalarNode):
        value: Any = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        assert isinstance(node, yaml.MappingNode)
        value = loader.construct_mapping(node, deep=True)
    if suffix == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": value}


_Loader.add_multi_constructor("!", _function)
