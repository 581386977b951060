"""Put tags on an execution and take others off, whenever it was enqueued and however it stands."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from barbeque_py.errors import BadTags, UnknownExecution
from barbeque_py.options import read_tags
from barbeque_py.store import Tx, tags
from barbeque_py.store import executions as rows


@dataclass(frozen=True, slots=True)
class Tagging:
    """Which tags an execution gets, and the names of those that it loses."""

    put: Mapping[str, str]
    taken: frozenset[str] = frozenset()

    def of(self, kept: Mapping[str, str]) -> dict[str, str]:
        """Return what becomes of these tags. Raises `BadTags`."""
        left = {name: value for name, value in kept.items() if name not in self.taken}
        try:
            return read_tags(left | dict(self.put))
        except ValueError as error:
            raise BadTags(str(error)) from None

    def to_json(self) -> dict[str, Any]:
        """Return it as a change of many executions keeps it."""
        return {"put": dict(self.put), "taken": sorted(self.taken)}

    @classmethod
    def from_json(cls, facts: Mapping[str, Any]) -> "Tagging":
        """Read what was kept."""
        return cls(facts["put"], frozenset(facts["taken"]))


def tag(tx: Tx, message_id: str, tagging: Tagging) -> tuple[dict[str, str], dict[str, str]]:
    """Change the execution's tags; return what they were, and what they are.

    Raises `UnknownExecution`, and `BadTags` when it would have more or longer ones than it may.
    """
    found = rows.by_message_id(tx, message_id, lock=True)
    if found is None or found.tombstone:
        raise UnknownExecution(f"no worker has seen an execution {message_id}")
    before = dict(found.options.get("tags", {}))
    after = tagging.of(before)
    if after != before:
        tags.change(tx, found, after)
    return before, after
