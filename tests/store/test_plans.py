"""The statements of the hot path walk their index, with 20,000 rows in the table."""

from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import event, insert, text

from barbeque_py import clock
from barbeque_py.executions import AttemptState, Stage, State
from barbeque_py.ids import AttemptId, new_message_id
from barbeque_py.store import Store, Tx, attempts, outbox, tables, unchecked
from barbeque_py.store import executions as rows
from tests.store.conftest import migrated
from tests.store.world import PLACE, QUEUE
from tests.stores import MariaDb

COUNT = 20_000
MINUTE = timedelta(minutes=1)
PLANS: list[tuple[str, Callable[[Tx], Any]]] = [
    ("ix_executions_claim", lambda tx: rows.waiting_groups(tx, QUEUE)),
    ("ix_executions_claim", lambda tx: rows.lock_ready(tx, QUEUE, (0, "app3"), 10)),
    ("ix_executions_claim", lambda tx: rows.count_startable(tx, QUEUE, 100)),
    ("ix_executions_due", lambda tx: rows.ripen(tx, 10)),
    ("ix_executions_due", rows.next_due),
    ("ix_executions_held", lambda tx: rows.wake_held(tx, "app:app1", 3)),
    ("ix_executions_held", rows.scopes_that_hold),
    ("ix_attempts_", lambda tx: attempts.live_at(tx, [PLACE])),
    ("ix_attempts_act", lambda tx: attempts.due_to_act(tx, [PLACE], "worker-1")),
    ("ix_attempts_checked", partial(unchecked.take, places=[PLACE], age=MINUTE, at_latest=MINUTE)),
    ("ix_outbox_due", outbox.any_due),
]


@pytest.fixture(
    scope="module", params=["sqlite", pytest.param("mariadb", marks=pytest.mark.mariadb)]
)
def large(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Store]:
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path_factory.mktemp('large') / 'b.db'}"
        with closing(Store(migrated(url))) as store:
            fill(store)
            yield store
        return
    server: MariaDb = request.getfixturevalue("mariadb")
    with server.database() as url, closing(Store(migrated(url))) as store:
        fill(store)
        yield store


def fill(store: Store) -> None:
    """Write rows as an installation has them: most are done, some wait, few run."""
    made = [execution(number) for number in range(COUNT)]
    live = [attempt(number) for number in range(COUNT)]

    def write(tx: Tx) -> None:
        tx.execute(insert(tables.executions), made)
        tx.execute(insert(tables.attempts), live)
        if not tx.sqlite:  # SQLite plans without statistics: nobody gathers them there
            tx.execute(text("ANALYZE TABLE executions, attempts, outbox"))

    store.write(write)


def execution(number: int) -> dict[str, Any]:
    now = clock.now()
    kinds = [
        (State.QUEUED, Stage.READY),
        (State.QUEUED, Stage.HELD),
        (State.QUEUED, Stage.SCHEDULED),
    ]
    state, stage = kinds[number % 3] if number % 10 == 0 else (State.SUCCEEDED, Stage.DONE)
    row = rows.new_row(
        message_id=str(new_message_id()),
        app=f"app{number // 10 % 7}",
        job="Encode",
        queue=QUEUE,
        message="{}",
        message_key=None,
        options={},
        priority=number // 10 % 3 - 1,
        due_at=now,
        sent_at=now,
        recorded_at=now,
    )
    held = f"app:{row['app']}" if stage is Stage.HELD else None
    return row | {"state": state, "stage": stage, "held_by": held}


def attempt(number: int) -> dict[str, Any]:
    now = clock.now()
    return attempts.new_row(
        id=AttemptId(f"{new_message_id()}-1"),
        execution=number + 1,
        number=1,
        round=1,
        state=AttemptState.RUNNING if number % 100 == 0 else AttemptState.ENDED,
        place=PLACE,
        owner="worker",
        epoch=1,
        lease_until=now,
        scopes=[],
        image="i",
        claimed_at=now,
    )


@pytest.mark.parametrize(("index", "work"), PLANS)
def test_a_statement_walks_its_index(large: Store, index: str, work: Callable[[Tx], Any]) -> None:
    asked: list[tuple[str, Any]] = []

    def note(*facts: Any) -> None:
        if facts[2].startswith("SELECT") and "FROM" in facts[2]:
            asked.append((facts[2], facts[3]))

    event.listen(large.engine, "before_cursor_execute", note)
    large.write(work)
    event.remove(large.engine, "before_cursor_execute", note)
    plans = [plan for each in asked for plan in large.write(partial(explain, asked=each))]
    assert plans
    for plan in plans:
        assert index in plan.replace("possible_keys", ""), plan
        if large.sqlite:
            assert "SCAN executions" not in plan.replace(f"USING COVERING INDEX {index}", "")
        else:
            assert f"'key': '{index}'" in plan, plan
            assert "filesort" not in plan or "attempts" in plan, plan


def explain(tx: Tx, asked: tuple[str, Any]) -> list[str]:
    """Return how the database carries the statement out, a line a step."""
    verb = "EXPLAIN QUERY PLAN" if tx.sqlite else "EXPLAIN"
    steps = tx._connection.exec_driver_sql(f"{verb} {asked[0]}", asked[1])
    plans = [str(dict(row._mapping)) for row in steps]
    # SQLite expands an empty list to a little query of its own.
    return [plan for plan in plans if "subquery" not in plan.lower() and "CONSTANT" not in plan]
