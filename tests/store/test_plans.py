"""The statements of the hot path walk their index, with 200,000 rows in the table."""

from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import event, text

from barbeque_py.cancel import cancel
from barbeque_py.clock import now
from barbeque_py.comparisons import Comparison
from barbeque_py.executions import State
from barbeque_py.executor import Quota
from barbeque_py.ids import AttemptId
from barbeque_py.notices import Audience, Channel, Event, NoticeState
from barbeque_py.outcomes import Fate, Reason
from barbeque_py.settle import Told, settle_all
from barbeque_py.store import (
    Store,
    Tx,
    attempts,
    dead,
    endings,
    failures,
    gauges,
    lanes,
    leads,
    leases,
    limits,
    lists,
    lots,
    marks,
    notices,
    outbox,
    pauses,
    queries,
    quotas,
    ready,
    retention,
    revisions,
    rollups,
    standings,
    stops,
    tags,
    troubles,
    unchecked,
)
from barbeque_py.store import executions as rows
from barbeque_py.store.failures import Failed, Standing, Unsorted
from barbeque_py.store.filters import Filter
from barbeque_py.store.notices import Kept
from barbeque_py.store.outbox import Kind
from barbeque_py.store.rollups import Span
from barbeque_py.tally import count
from barbeque_py.waiting import decide
from tests.store.crowd import OWNER, PLACE, gather
from tests.stores import MariaDb, migrated

MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
ID = "00000042-0000-7000-8000-000000000000"
IDS = [f"000{number:05}-0000-7000-8000-000000000000" for number in range(22, 222, 20)]
TRIES = [AttemptId(f"{each}-1") for each in IDS]
ENV = (("env", "env1"),)
OVER = Comparison(">", 900)
FAILING = Kind(ailing=True, lanes=["log/2"], prefixes=["email/"])
NOTICE = Kept(
    id=100,
    notice_id="00000100-0000-7000-8000-000000000000",
    execution=100,
    app="app1",
    job="job0",
    event=Event.FAILED,
    audience=Audience.ADMINS,
    channel=Channel.EMAIL,
    target="a@example.com",
    facts={},
    same="same100",
    state=NoticeState.WAITING,
    reason=None,
    receipt=None,
    gathered_into=None,
    tries=0,
    made_at=now(),
    done_at=None,
)
SUCCESS = Fate(Reason.EXITED, exit_code=0)
THEN = datetime(2010, 1, 1, tzinfo=UTC)
FAILED = Failed(
    Unsorted(
        attempt=AttemptId("00000100-0000-7000-8000-000000000000-1"),
        execution=100,
        number=1,
        message_id="00000100-0000-7000-8000-000000000000",
        app="app1",
        job="job0",
        user_id="user1",
        finished_at=now(),
        reason="exited",
        exit_code=1,
        detail=None,
        log_lines=1,
        log_error="Error",
    ),
    fingerprint="new",
    line="Error",
)

Work = Callable[[Tx], Any]
FEW = 650
"""Rows that a statement may look at for one page, batch or claim."""
PLANS: list[tuple[str, Work]] = [
    ("claim: waiting groups", lambda tx: ready.waiting_groups(tx, "default")),
    ("claim: ready rows", lambda tx: ready.lock_ready(tx, "default", (0, "app3"), 10)),
    ("intake: startable", lambda tx: ready.count_startable(tx, "default", 100)),
    ("intake: recorded", lambda tx: lots.recorded(tx, IDS)),
    ("intake: recorded before", lambda tx: lots.recorded_before(tx, IDS)),
    ("ripen", lambda tx: rows.ripen(tx, 10)),
    ("next due", rows.next_due),
    ("wake", lambda tx: rows.wake_held(tx, "app:app1", 3)),
    ("scopes that hold", rows.scopes_that_hold),
    ("those that hold", lambda tx: rows.those_that_hold(tx, ["app:app1", "queue:default"])),
    ("one by message id", lambda tx: rows.by_message_id(tx, ID, lock=True)),
    ("cancel", lambda tx: cancel(tx, ID)),
    ("settle", lambda tx: settle_all(tx, dict.fromkeys(TRIES, Told(SUCCESS)))),
    ("start: poised", lambda tx: lots.poised(tx, TRIES)),
    ("start: not as claimed", lambda tx: lots.not_as_claimed(tx, TRIES, OWNER)),
    ("seal: origins", lambda tx: lots.origins(tx, TRIES)),
    ("attempts of one", lambda tx: attempts.of_execution(tx, 42)),
    ("claim: images", lambda tx: attempts.images_of(tx, dict.fromkeys(range(40, 60), 1))),
    ("outcomes, first", lambda tx: revisions.outcomes(tx, 1, most=100, newest=False)),
    ("outcomes, newest", lambda tx: revisions.outcomes(tx, 1, most=100, newest=True)),
    ("attempts known", lambda tx: attempts.known(tx, TRIES)),
    ("live places", leases.live_places),
    ("owners at", lambda tx: leases.owners_at(tx, [PLACE])),
    ("unstarted of", lambda tx: leases.unstarted_of(tx, OWNER)),
    ("renew", lambda tx: leases.renew(tx, OWNER, MINUTE)),
    ("release", lambda tx: leases.release(tx, OWNER, but=TRIES)),
    ("take over", lambda tx: leases.take_over(tx, [PLACE], "b", MINUTE, dead_owners=["c"])),
    ("due to act", lambda tx: stops.due_to_act(tx, [PLACE], OWNER)),
    ("unchecked", lambda tx: unchecked.take(tx, [PLACE], age=MINUTE, at_latest=DAY)),
    ("live scopes", attempts.live_scopes),
    ("outbox any due", lambda tx: outbox.any_due(tx, but=["log/1"])),
    (
        "outbox take",
        lambda tx: outbox.take(tx, OWNER, [PLACE], most=32, lease=MINUTE, busy=["log/1"]),
    ),
    (
        "outbox take failing",
        lambda tx: outbox.take(
            tx, OWNER, [PLACE], most=4, lease=MINUTE, busy=["log/1"], kind=FAILING
        ),
    ),
    ("notices gather", lambda tx: notices.gather(tx, NOTICE)),
    ("notices thread", lambda tx: notices.thread_of(tx, NOTICE)),
    ("notices list app", lambda tx: notices.newest(tx, app="app1", before=50_000)),
    ("notices list state", lambda tx: notices.newest(tx, state=NoticeState.WAITING)),
    ("notices deliveries", lambda tx: notices.deliveries_of(tx, 42)),
    ("notices forget", lambda tx: notices.forget(tx, 45 * DAY, 200)),
    ("notices late", lambda tx: lots.running_longer(tx, {("app1", "job1"): MINUTE})),
    ("outbox oldest", outbox.oldest_due),
    ("outbox places", outbox.places),
    ("outbox owners", outbox.owners),
    ("outbox release", lambda tx: outbox.release(tx, OWNER)),
    ("outbox at place", lambda tx: outbox.at_place(tx, "elsewhere")),
    ("outbox forget", lambda tx: outbox.forget_done(tx, DAY, 200)),
    ("limits lock", lambda tx: limits.lock(tx, ["app:app1", "app:app2"])),
    ("limits read all", lambda tx: limits.read_all(tx, "queue:")),
    ("limits forget", lambda tx: limits.forget_idle_keys(tx, 100)),
    ("quotas", lambda tx: quotas.take(tx, [Quota("a", 10, 10), Quota("b", 10, 10)])),
    ("pauses", pauses.current),
    ("lanes visible", lambda tx: lanes.any_visible(tx, "rare")),
    ("lanes lock", lambda tx: lanes.lock_visible(tx, "default", 10)),
    ("lanes depth", lambda tx: lanes.depth(tx, "rare")),
    ("dead newest", lambda tx: dead.newest(tx, before=10_000)),
    ("dead is", lambda tx: dead.is_dead(tx, ID)),
    ("retention: ended", lambda tx: retention.ended_before(tx, tx.now - 45 * DAY, 200)),
    ("retention: forget", lambda tx: retention.forget(tx, range(4, 20))),
    ("retention: dead", lambda tx: retention.forget_dead_messages(tx, 45 * DAY, 200)),
    ("list", lambda tx: lists.newest(tx, Filter())),
    ("list further", lambda tx: lists.newest(tx, Filter(), before=100_000)),
    ("list back", lambda tx: lists.newer(tx, Filter(), after=100_000)),
    ("list app", lambda tx: lists.newest(tx, Filter(app="app1"), before=100_000)),
    ("list job", lambda tx: lists.newest(tx, Filter(app="app1", job="job1"), before=100_000)),
    ("list job back", lambda tx: lists.newer(tx, Filter(app="app1", job="job1"), after=100_000)),
    ("list state", lambda tx: lists.newest(tx, Filter(state=State.FAILED), before=100_000)),
    ("list retrying", lambda tx: lists.newest(tx, Filter(state=State.RETRYING))),
    (
        "list job state",
        lambda tx: lists.newest(
            tx, Filter(app="app1", job="job1", state=State.RUNNING), before=100_000
        ),
    ),
    ("list queue", lambda tx: lists.newest(tx, Filter(queue="rare"), before=100_000)),
    ("list unknown app", lambda tx: lists.newest(tx, Filter(app="none"))),
    ("list user", lambda tx: lists.newest(tx, Filter(user_id="user7"), before=100_000)),
    ("list user back", lambda tx: lists.newer(tx, Filter(user_id="user7"), after=100_000)),
    ("list tag", lambda tx: lists.newest(tx, Filter(app="app1", tags=ENV), before=100_000)),
    ("list tags", lambda tx: lists.newest(tx, Filter(app="app1", tags=(*ENV, ("a", "b"))))),
    ("list tag back", lambda tx: lists.newer(tx, Filter(app="app1", tags=ENV), after=100_000)),
    ("list prefix", lambda tx: lists.newest(tx, Filter(prefix="00000042"), before=100_000)),
    ("list id", lambda tx: lists.newest(tx, Filter(prefix=ID, app="app1", status="retried"))),
    ("list since", lambda tx: lists.newest(tx, Filter(since=tx.now - DAY))),
    ("list exit", lambda tx: lists.newest(tx, Filter(exit_code=OVER), before=100_000)),
    ("list long", lambda tx: lists.newest(tx, Filter(duration=OVER, app="app1", attempts=OVER))),
    ("list text", lambda tx: lists.newest(tx, Filter(text="none", state=State.FAILED))),
    ("count near", lambda tx: lists.count_near(tx, Filter(exit_code=OVER), most=9, windows=2)),
    ("list until", lambda tx: lists.newest(tx, Filter(until=tx.now - DAY, app="app1"))),
    ("list retried", lambda tx: lists.newest(tx, Filter(status="retried"), before=100_000)),
    ("list error", lambda tx: lists.newest(tx, Filter(status="error"))),
    ("list job everywhere", lambda tx: lists.newest(tx, Filter(job="none"), before=100_000)),
    ("list app and queue", lambda tx: lists.newest(tx, Filter(app="app1", queue="rare"))),
    ("count", lambda tx: lists.count(tx, Filter(app="app1", state=State.FAILED), most=100)),
    ("why: ready", lambda tx: why(tx, 40)),
    ("why: held", lambda tx: why(tx, 41)),
    ("why: running", lambda tx: why(tx, 42)),
    ("why: who holds it", lambda tx: standings.holders(tx, "app:app1", None)),
    ("why: unseen", lambda tx: standings.of_unseen(tx, ID, mark=100)),
    ("tags record", lambda tx: tags.record(tx, [tagged(ID)])),
    ("retention: unsealed", lambda tx: retention.unsealed(tx, range(4, 20))),
    ("tally", lambda tx: count(tx, 100)),
    ("tally: failures", lambda tx: failures.put_off_unsealed(tx, 100)),
    ("tally: sort", lambda tx: failures.sort(tx, [FAILED])),
    ("tally: left", lambda tx: (endings.any_left(tx), failures.unsorted_left(tx))),
    ("rollups", lambda tx: rollups.of_one(tx, "app1", "job1", Span.HOUR, THEN, THEN + 20 * DAY)),
    ("rollups forget", lambda tx: rollups.forget(tx, Span.HOUR, THEN + DAY, 200)),
    ("failures", lambda tx: failures.newest(tx, before=(now(), 5_000))),
    ("failures app", lambda tx: failures.newest(tx, app="app1")),
    ("failures state", lambda tx: failures.newest(tx, state=Standing.ACKNOWLEDGED)),
    ("failures of one", lambda tx: failures.of_execution(tx, 42)),
    ("failures hours", lambda tx: failures.hours_of(tx, [5_001, 5_002], THEN + 42 * DAY)),
    ("failures forget", lambda tx: failures.forget(tx, now() - 90 * DAY, 20)),
    ("list failure", lambda tx: lists.newest(tx, Filter(failure=5_003), before=60_000)),
    ("marks", lambda tx: marks.put(tx, "person7", ("app", "job7"), ["", "a"])),
    ("queue states", queries.queue_states),
    ("headlines", lambda tx: queries.count_headlines(tx, lately=DAY)),
    ("gauges", gauges.read),
    ("troubles", troubles.newest),
]


MANY = {
    **dict.fromkeys(
        ("list since", "list until", "list error", "list job everywhere", "list app and queue"),
        2 * leads.WINDOW + FEW,  # one window, to find its end and to look through it
    ),
    "list retried": 4 * leads.WINDOW + FEW,  # a window of the queued and one of the running
    "list exit": 3 * leads.WINDOW + FEW,  # and the last attempt of each
    "list long": 2 * leads.WINDOW + FEW,
    "list text": leads.WINDOW + FEW,  # a shorter window, for its messages are read
    "count near": 6 * leads.WINDOW + FEW,
    "list tags": 3 * leads.WINDOW + FEW,  # and the other tag of each
    "count": 2 * leads.WINDOW + FEW,
    "why: ready": 21_000,  # counts what comes first, up to 10,000 of each kind
    "why: held": 11_000,
    "why: who holds it": 10_300,  # every live attempt, when somebody asks
    "live scopes": 10_200,  # every live attempt, once an hour
    "notices forget": 1_000,  # 200 notices, seen by each statement, and their deliveries
    "outbox take failing": 5_100,  # what is due, each second, where what failed has no index
    "notices late": 20_200,  # every running attempt with its execution, each 10 s by one worker
    "outbox places": 5_100,  # all that is undone
    "outbox owners": 5_100,
    "outbox release": 5_100,
    "outbox at place": 5_100,
    "queue states": 24_000,  # counts messages
    "headlines": 61_000,  # counts up to 10,001 of each
    "gauges": 90_000,  # counts messages and what is open
    "troubles": 20_000,  # when somebody asks for help
}
"""What grows with what is open, and is asked seldom."""
WALKS = {"tally", "tally: left", "list", "list since", "list job everywhere", *MANY} - {
    "list until",
    "list error",
}
"""What goes through a table in the order of its rows, or has all that is open in view."""
WHOLE = {"messages", "pauses", "queues", "installation", "workers", "quotas", "apps", "failing"}
"""Tables that may be read from one end to the other: they are small, or counted."""
KEYS = {
    "claim: waiting groups": "ix_executions_claim",
    "claim: ready rows": "ix_executions_claim",
    "ripen": "ix_executions_due",
    "next due": "ix_executions_due",
    "wake": "ix_executions_held",
    "scopes that hold": "ix_executions_held",
    "live places": "ix_attempts_live",
    "owners at": "ix_attempts_live",
    "renew": "ix_attempts_owner",
    "due to act": "ix_attempts_act",
    "unchecked": "ix_attempts_checked",
    "outbox any due": "ix_outbox_due",
    "outbox take": "ix_outbox_lease",
    "outbox forget": "ix_outbox_due",
    "retention: ended": "ix_executions_finished",
    "retention: dead": "ix_dead_messages_died",
    "list app": "ix_executions_app",
    "list job": "ix_executions_job",
    "list job state": "ix_executions_job_state",
    "list state": "ix_executions_state",
    "list queue": "ix_executions_queue",
    "list user": "ix_executions_user",
    "list user back": "ix_executions_user",
    "list tag": "PRIMARY",
    "list prefix": "message_id",
    "list since": "ix_executions_recorded",
    "list until": "ix_executions_app",
    "list long": "ix_executions_app",
    "list text": "ix_executions_state",
    "list retried": "ix_executions_state",
    "list error": "ix_executions_state",
    "list app and queue": "ix_executions_app",
    "count": "ix_executions_state",
}


@pytest.fixture(
    scope="module", params=["sqlite", pytest.param("mariadb", marks=pytest.mark.mariadb)]
)
def large(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Store]:
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path_factory.mktemp('large') / 'b.db'}"
        with closing(Store(migrated(url))) as store:
            gather(store)
            yield store
        return
    server: MariaDb = request.getfixturevalue("mariadb")
    with server.database() as url, closing(Store(migrated(url))) as store:
        gather(store)
        yield store


def why(tx: Tx, number: int) -> object:
    execution = rows.by_id(tx, number)
    assert execution is not None
    return decide(standings.read(tx, execution))


def tagged(message_id: str) -> dict[str, str]:
    return {"message_id": message_id, "options": '{"tags": {"a": "b"}}'}


class Undone(Exception):
    """Ends a transaction that was only watched."""


def watch(store: Store, work: Work) -> tuple[list[str], int]:
    """Return how the work's statements are carried out, and how many rows it looks at."""
    asked: list[tuple[str, Any]] = []
    plans: list[str] = []
    looked_at = 0

    def note(*facts: Any) -> None:
        if facts[2].split()[0] in {"SELECT", "UPDATE", "DELETE"}:
            asked.append((facts[2], facts[3]))

    def run(tx: Tx) -> None:
        nonlocal looked_at
        before = rows_read(tx)
        event.listen(store.engine, "before_cursor_execute", note)
        try:
            work(tx)
        finally:
            event.remove(store.engine, "before_cursor_execute", note)
        looked_at = rows_read(tx) - before
        raise Undone

    with pytest.raises(Undone):
        store.write(run)
    for each in asked:
        if " FROM " in " ".join(each[0].split()) or each[0].startswith("UPDATE"):
            plans += store.write(partial(explain, asked=each))
    return plans, looked_at


def rows_read(tx: Tx) -> int:
    """Count the rows and index entries this session has looked at; SQLite does not count."""
    if tx.sqlite:
        return 0
    counted: Any = tx.execute(text("SHOW SESSION STATUS LIKE 'Handler_read%'"))
    return sum(int(row.Value) for row in counted)


def explain(tx: Tx, asked: tuple[str, Any]) -> list[str]:
    """Return how the database carries the statement out, a line a step."""
    if tx.sqlite:
        found = tx._connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {asked[0]}", asked[1])
        return [row.detail for row in found]
    found = tx._connection.exec_driver_sql(f"EXPLAIN {asked[0]}", asked[1])
    return [
        f"{row.type} {row.table} by {row.key}: {row.Extra}"
        for row in found
        if row.table is not None
    ]


def is_walk(plan: str) -> bool:
    """Tell whether a step reads a whole table or sorts what an index should have in order."""
    words = plan.split()
    if "filesort" in plan or "TEMP B-TREE FOR ORDER BY" in plan:
        return True
    return words[0] in {"ALL", "index", "SCAN"} and words[1] not in WHOLE


@pytest.mark.parametrize("name", [name for name, _ in PLANS])
def test_a_statement_walks_its_index(large: Store, name: str) -> None:
    plans, looked_at = watch(large, dict(PLANS)[name])
    assert plans
    assert looked_at <= MANY.get(name, FEW), plans
    if name not in WALKS:
        assert [each for each in plans if is_walk(each)] == []
    if not large.sqlite and name in KEYS:
        assert any(f"by {KEYS[name]}:" in each for each in plans), plans


def test_renewing_touches_no_attempt_that_nobody_attends_to(large: Store) -> None:
    def renew(tx: Tx) -> None:
        assert leases.renew(tx, OWNER, MINUTE) == 50
        assert len(stops.due_to_act(tx, [PLACE], OWNER)) == 10
        raise Undone

    with pytest.raises(Undone):
        large.write(renew)
