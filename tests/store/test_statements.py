"""Statements that are made once, and those of many rows: what they write and read is what was said.

They go past SQLAlchemy's own writing and reading of values, so each kind of value is tried here.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import bindparam, select, update

from barbeque_py.executions import AttemptState, Stage, State
from barbeque_py.store import Store, Tx
from barbeque_py.store import executions as rows
from barbeque_py.store.bulk import change_each, insert_each
from barbeque_py.store.prepared import Prepared
from barbeque_py.store.tables.fleet import limits
from barbeque_py.store.tables.runs import attempts, executions

AT = datetime(2026, 2, 3, 4, 5, 6, 789012, tzinfo=UTC)
AWKWARD = [
    "plain-1/2:3+4 .x",
    "it's",
    'say "no"',
    "back\\slash",
    "\\'; DROP TABLE limits; -- ",
    "'",
    "100 %s %% %(x)s",
    "what? :name ?1",
    "two\nlines\r\tand a tab",
    "\x1a\x08",
    "naïve 😀 日本",
    "",
    " ",
    "NULL",
    "0",
]


def a_row(message_id: str, **facts: Any) -> dict[str, Any]:
    known: dict[str, Any] = {
        "app": "media",
        "job": "Encode",
        "queue": "default",
        "message": "{}",
        "message_key": None,
        "options": {},
        "priority": 0,
        "due_at": AT,
        "sent_at": AT,
        "recorded_at": AT,
    }
    return rows.new_row(message_id=message_id, **known | facts)


def messages(store: Store) -> dict[str, str | None]:
    query = select(executions.c.message_id, executions.c.message)
    return {row.message_id: row.message for row in store.read(lambda tx: tx.execute(query).all())}


def test_rows_inserted_together_are_as_they_were_said(store: Store) -> None:
    said = [
        a_row(f"m-{at:02}", message=text, due_at=AT + timedelta(microseconds=at), app=text[:9])
        for at, text in enumerate(AWKWARD)
    ]
    store.write(lambda tx: insert_each(tx, executions, said))
    query = select(executions).order_by(executions.c.message_id)
    found = store.read(lambda tx: tx.execute(query).all())
    assert [{name: row._mapping[name] for name in said[0]} for row in found] == said


def test_a_row_that_is_there_is_left_alone_and_no_other(store: Store) -> None:
    store.write(lambda tx: insert_each(tx, executions, [a_row("m-1", message="first")]))
    again = [a_row("m-1", message="second"), a_row("m-2", message="it's new")]
    store.write(lambda tx: insert_each(tx, executions, again, once_per="message_id"))
    assert messages(store) == {"m-1": "first", "m-2": "it's new"}


def test_any_other_fault_of_a_row_is_raised(store: Store) -> None:
    with pytest.raises(Exception, match=r"NULL|null|default"):
        store.write(
            lambda tx: insert_each(
                tx, executions, [a_row("m-1") | {"app": None}], once_per="message_id"
            )
        )
    assert messages(store) == {}


def test_changes_of_many_rows_are_as_they_were_said(store: Store) -> None:
    scopes = [f"key:app/{text}" for text in AWKWARD if text != " "]  # MariaDB: no end of a key
    store.write(lambda tx: insert_each(tx, limits, [_limit(each) for each in scopes]))
    changes = {each: {"max": at, "used": at + 1} for at, each in enumerate(scopes)}
    assert store.write(lambda tx: change_each(tx, limits, changes)) == len(scopes)
    found = store.read(lambda tx: tx.execute(select(limits)).all())
    assert {row.scope: {"max": row.max, "used": row.used} for row in found} == changes


def _limit(scope: str) -> dict[str, Any]:
    return {"scope": scope, "max": None, "used": 0}


_BY_QUEUE = Prepared(
    select(executions.c.message_id, executions.c.due_at, executions.c.tombstone)
    .where(
        executions.c.queue == bindparam("lane"),
        executions.c.app.in_(bindparam("owners", expanding=True)),
        executions.c.due_at >= bindparam("since"),
        executions.c.state.in_([State.QUEUED, State.RUNNING]),
    )
    .order_by(executions.c.message_id)
)
_BUT = Prepared(
    select(executions.c.message_id)
    .where(executions.c.app.not_in(bindparam("owners", expanding=True)))
    .order_by(executions.c.message_id)
)
_HOLD = Prepared(
    update(executions)
    .where(executions.c.message_id.in_(bindparam("keys", expanding=True)))
    .values(stage=Stage.HELD, due_at=bindparam("at"))
)


@pytest.fixture
def three(store: Store) -> Store:
    apps = ("it's", "50 %", "c")
    said = [a_row(f"m-{at}", app=app, due_at=AT) for at, app in enumerate(apps)]
    store.write(lambda tx: insert_each(tx, executions, said))
    return store


@pytest.mark.parametrize(
    ("owners", "found"),
    [(["it's", "50 %"], ["m-0", "m-1"]), (["c"], ["m-2"]), (["none"], []), ([], [])],
)
def test_a_prepared_query_takes_lists_of_any_length(
    three: Store, owners: Sequence[str], found: Sequence[str]
) -> None:
    def ask(tx: Tx) -> list[Any]:
        return tx.rows(_BY_QUEUE, lane="default", owners=owners, since=AT)

    assert [list(row) for row in three.read(ask)] == [[each, AT, False] for each in found]
    left = [each for each in ("m-0", "m-1", "m-2") if each not in found]
    assert [key for (key,) in three.read(lambda tx: tx.rows(_BUT, owners=owners))] == left


def test_a_prepared_change_says_how_many_rows_it_found(three: Store) -> None:
    later = AT + timedelta(days=1)

    def hold(tx: Tx) -> int:
        return tx.change(_HOLD, keys=["m-0", "m-2", "m-9"], at=later)

    assert three.write(hold) == 2
    query = select(executions.c.message_id).where(executions.c.due_at == later)
    assert len(three.read(lambda tx: tx.execute(query).all())) == 2


def test_a_name_of_a_state_is_written_as_its_text(store: Store) -> None:
    row = {
        "id": "m-1-1",
        "execution": 1,
        "number": 1,
        "round": 1,
        "state": AttemptState.STARTING,
        "place": "here",
        "owner": "me",
        "epoch": 1,
        "lease_until": AT,
        "scopes": '["app:it\'s"]',
        "image": "media:1",
        "launch_number": 1,
        "claimed_at": AT,
    }
    store.write(lambda tx: insert_each(tx, attempts, [row]))
    found = store.read(lambda tx: tx.execute(select(attempts)).one())
    assert {name: found._mapping[name] for name in row} == row
