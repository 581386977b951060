"""YAML from outside as plain values, with the line of each: only what JSON could say is taken."""

import math
import re
from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml
from yaml.constructor import SafeConstructor
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

Path = tuple[str | int, ...]
"""Where a value stands: keys and list positions from the top."""

MOST_CHARACTERS = 512 * 1024
MOST_NODES = 50_000
"""How many values the text may hold once its aliases are written out."""
DEEPEST = 32

_UNSAFE = re.compile("[\0\ud800-\udfff]")
_TAG = "tag:yaml.org,2002:"
_TOO_LARGE = 1 << 63
_SHOWN = 60


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong, and where: line and column from 1, both 0 for the text as a whole."""

    line: int
    column: int
    path: Path
    message: str


@dataclass(slots=True)
class Tree:
    """The values of a text; where faults are, None stands for them."""

    value: object = None
    keys: dict[Path, tuple[int, int]] = field(default_factory=dict)
    """Line and column of each key, of a list's entry for entries."""
    values: dict[Path, tuple[int, int]] = field(default_factory=dict)
    """Line and column of each value."""
    faults: list[Fault] = field(default_factory=list)


class _Refused(yaml.MarkedYAMLError):
    """The text is a bomb, or what no plain value can be made of."""


class _UnfitText(ValueError):
    """A scalar that no plain value can be made of; the message is fit for people."""


class _Loader(yaml.SafeLoader):
    """Composes nodes, and stops at a depth where Python's stack is still safe."""

    depth = 0
    nodes = 0

    def compose_node(self, parent: Node | None, index: Any) -> Node | None:
        self.depth += 1
        self.nodes += 1
        mark = parent.start_mark if parent is not None else None
        if self.depth > DEEPEST:
            raise _refusal(f"nested deeper than {DEEPEST} levels", mark)
        if self.nodes > MOST_NODES:
            raise _refusal(f"more than {MOST_NODES:,} values", mark)
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


def read_yaml(text: str) -> Tree:
    """Return the text's values and where they stand; never raises for what the text says."""
    tree = Tree()
    if len(text) > MOST_CHARACTERS:
        tree.faults.append(Fault(0, 0, (), f"longer than {MOST_CHARACTERS // 1024} KiB"))
        return tree
    try:
        node = _compose(text)
        if node is not None:
            tree.value = _Reading(tree).read(node, ())
    except yaml.MarkedYAMLError as error:
        tree.faults.append(_from_mark(error))
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        column = error.position - text.rfind("\n", 0, error.position)
        fault = f"the character U+{int(error.character):04X} can't stand in YAML"
        tree.faults.append(Fault(line, column, (), fault))
    except (ValueError, OverflowError) as error:
        tree.faults.append(Fault(0, 0, (), f"not YAML: {error}"))
    return tree


def _compose(text: str) -> Node | None:
    loader = _Loader(text)
    try:
        node: Node | None = loader.get_single_node()
        return node
    finally:
        loader.dispose()


class _Reading:
    """One walk from nodes to plain values."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._count = 0
        self._open: set[int] = set()
        self._scalars = SafeConstructor()
        self._readers: dict[str, Callable[[ScalarNode], object]] = {
            "str": self._text,
            "timestamp": self._text,  # 2026-11-21 is a text to us, as it is in JSON
            "null": lambda _: None,
            "bool": self._scalars.construct_yaml_bool,
            "int": self._int,
            "float": self._float,
        }

    def read(self, node: Node, path: Path) -> object:
        """Return the node's value; what it can't be is noted as a fault."""
        self._visit(node, self._open)
        if len(path) > DEEPEST:
            raise _refusal(f"nested deeper than {DEEPEST} levels", node.start_mark)
        self._tree.values[path] = _position(node)
        self._open.add(id(node))
        try:
            return self._read(node, path)
        finally:
            self._open.discard(id(node))

    def _read(self, node: Node, path: Path) -> object:
        match node:
            case MappingNode(tag="tag:yaml.org,2002:map"):
                return self._mapping(node, path)
            case SequenceNode(tag="tag:yaml.org,2002:seq"):
                for index, item in enumerate(node.value):
                    self._tree.keys[*path, index] = _position(item)
                return [self.read(item, (*path, index)) for index, item in enumerate(node.value)]
            case ScalarNode():
                return self._scalar(node, path)
        return self._refuse(node, path, f"the tag {_shown_tag(node)} can't be used here")

    def _mapping(self, node: MappingNode, path: Path) -> dict[str, object]:
        found: dict[str, object] = {}
        for key_node, value_node, own in self._pairs(node, path, (id(node),)):
            key = self._key(key_node, path)
            if key is None or (key in found and not own):
                continue
            if key in found:
                self._refuse(key_node, (*path, key), "this key stands twice; keep one")
                continue
            self._tree.keys[*path, key] = _position(key_node)
            found[key] = self.read(value_node, (*path, key))
        return found

    def _pairs(
        self, node: MappingNode, path: Path, inside: tuple[int, ...]
    ) -> Iterator[tuple[Node, Node, bool]]:
        """Yield the mapping's own keys, then what `<<: *anchor` adds, first come first kept."""
        merged: list[Node] = []
        for key, value in node.value:
            if key.tag != f"{_TAG}merge":
                yield key, value, len(inside) == 1
            else:
                merged += value.value if isinstance(value, SequenceNode) else [value]
        for other in merged:
            if not isinstance(other, MappingNode):
                self._refuse(other, path, "<< takes an alias of a mapping, or a list of them")
                continue
            self._visit(other, inside)
            yield from self._pairs(other, path, (*inside, id(other)))

    def _visit(self, node: Node, inside: Container[int]) -> None:
        """Count a value, refusing those that aliases make too many or endless."""
        self._count += 1
        if self._count > MOST_NODES:
            fault = f"more than {MOST_NODES:,} values once its aliases (*) are written out"
            raise _refusal(fault, node.start_mark)
        if id(node) in inside:
            raise _refusal("an alias (*) that leads into itself", node.start_mark)

    def _key(self, node: Node, path: Path) -> str | None:
        if not isinstance(node, ScalarNode) or node.tag != f"{_TAG}str":
            shown = repr(node.value) if isinstance(node, ScalarNode) else "a list or mapping"
            self._refuse(node, path, f"the key {shown} is not a text; quote it")
            return None
        key = self._scalar(node, path)
        return key if isinstance(key, str) else None

    def _scalar(self, node: ScalarNode, path: Path) -> object:
        reader = self._readers.get(node.tag.removeprefix(_TAG))
        if reader is None or not node.tag.startswith(_TAG):
            return self._refuse(node, path, f"the tag {_shown_tag(node)} can't be used here")
        try:
            return reader(node)
        except (ValueError, KeyError, IndexError, OverflowError) as error:
            known = isinstance(error, _UnfitText)
            fault = str(error) if known else f"{node.value[:_SHOWN]!r} is not a number or switch"
            return self._refuse(node, path, fault)

    def _text(self, node: ScalarNode) -> str:
        if _UNSAFE.search(node.value):
            raise _UnfitText("the text holds NUL or half a surrogate pair")
        return str(node.value)

    def _int(self, node: ScalarNode) -> int:
        number: int = self._scalars.construct_yaml_int(node)
        if abs(number) >= _TOO_LARGE:
            raise _UnfitText(f"{node.value[:_SHOWN]} has more than 64 bits")
        return number

    def _float(self, node: ScalarNode) -> float:
        number: float = self._scalars.construct_yaml_float(node)
        if not math.isfinite(number):
            raise _UnfitText(f"{node.value[:_SHOWN]} is not a finite number")
        return number

    def _refuse(self, node: Node, path: Path, message: str) -> object:
        """Note the fault; None stands in the value's place."""
        self._tree.faults.append(Fault(*_position(node), path, message))
        return None


def _position(node: Node) -> tuple[int, int]:
    return node.start_mark.line + 1, node.start_mark.column + 1


def _shown_tag(node: Node) -> str:
    return str(node.tag.replace(_TAG, "!!"))[:_SHOWN]


def _refusal(message: str, mark: Any) -> _Refused:
    return _Refused(problem=message, problem_mark=mark)


def _from_mark(error: yaml.MarkedYAMLError) -> Fault:
    parts = [error.context, error.problem] if error.context else [error.problem]
    message = ", ".join(part for part in parts if part)
    prefix = "" if isinstance(error, _Refused) else "not YAML: "
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
    return Fault(line, column, (), prefix + message)
