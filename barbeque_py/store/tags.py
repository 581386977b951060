"""Tags of executions, as rows by which lists can be narrowed."""

import json
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from sqlalchemy import bindparam, delete, select, update
from sqlalchemy.dialects import mysql, sqlite

from barbeque_py.store.database import Tx
from barbeque_py.store.executions import Execution
from barbeque_py.store.tables.runs import executions, tags


def record(tx: Tx, rows: Iterable[Mapping[str, Any]]) -> None:
    """Keep the tags of those of these executions' rows that are in the table as they stand here.

    A repeat with other content has no say, and one with the same changes nothing.
    """
    tagged = {row["message_id"]: row for row in rows if '"tags"' in row["options"]}
    if not tagged:
        return
    found = tx.execute(_OWN, {"keys": list(tagged)}).all()
    own = [row for row in found if row.options == tagged[row.message_id]["options"]]
    new = [tag for row in own for tag in _tags_of(row)]
    if new:
        _add(tx, sorted(new, key=lambda tag: tuple(map(str, tag.values()))))


_OWN = select(
    executions.c.id, executions.c.message_id, executions.c.app, executions.c.options
).where(executions.c.message_id.in_(bindparam("keys", expanding=True)))


def _tags_of(row: Any) -> list[dict[str, Any]]:
    kept = json.loads(row.options).get("tags", {})
    return [
        {"app": row.app, "name": name, "value": value, "execution": row.id}
        for name, value in kept.items()
    ]


def _add(tx: Tx, new: list[dict[str, Any]]) -> None:
    if tx.sqlite:
        tx.execute(sqlite.insert(tags).on_conflict_do_nothing(), new)
    else:
        tx.execute(mysql.insert(tags).on_duplicate_key_update(app=tags.c.app), new)


def change(tx: Tx, found: Execution, kept: Mapping[str, str]) -> None:
    """Let the locked execution have these tags and no others."""
    options = {name: value for name, value in found.options.items() if name != "tags"}
    options |= {"tags": dict(kept)} if kept else {}
    values = {"options": json.dumps(options)}
    tx.execute(update(executions).where(executions.c.id == found.id).values(values))
    forget(tx, [found.id])
    if kept:
        own = {"app": found.app, "execution": found.id}
        _add(tx, [{**own, "name": name, "value": kept[name]} for name in sorted(kept)])


def forget(tx: Tx, numbers: Collection[int]) -> None:
    """Delete the tags of these executions."""
    tx.execute(delete(tags).where(tags.c.execution.in_(numbers)))
