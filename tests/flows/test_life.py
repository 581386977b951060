"""The life of an execution: real verbs in any order against a model of a few lines."""

import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)

from barbeque_py.backoff import RetryPolicy
from barbeque_py.cancel import Cancelled, cancel
from barbeque_py.clock import now
from barbeque_py.errors import StillOpen, UnknownExecution
from barbeque_py.executions import ENDED, AttemptState, Stage, State
from barbeque_py.ids import AttemptId, new_message_id
from barbeque_py.outcomes import Fate, Reason
from barbeque_py.plans import scopes_of
from barbeque_py.retry import retry
from barbeque_py.start import Claim
from barbeque_py.store import Store, Tx, attempts, leases, limits, stops, tables
from barbeque_py.store import executions as rows
from barbeque_py.store.attempts import Attempt
from barbeque_py.store.executions import Execution
from barbeque_worker.rescue import recount
from tests.store.world import (
    LEASE,
    PLACE,
    QUEUE,
    a_body,
    claim_some,
    define,
    end,
    find,
    later,
    mark_running,
    ripen,
    set_columns,
    set_limit,
    take_in,
)
from tests.stores import migrated

STAGES = {
    State.QUEUED: {Stage.SCHEDULED, Stage.READY, Stage.HELD},
    State.RETRYING: {Stage.SCHEDULED, Stage.READY, Stage.HELD},
    State.RUNNING: {Stage.ACTIVE},
    State.SUCCEEDED: {Stage.DONE},
    State.FAILED: {Stage.DONE},
    State.CANCELLED: {Stage.DONE},
}
WAITING = (State.QUEUED, State.RETRYING)
JOBS = st.sampled_from([("media", "Encode"), ("media", "Once"), ("shop", "Mail")])
KEYS = st.sampled_from([None, None, "k1", "k2"])
SCOPES = st.sampled_from(
    [f"queue:{QUEUE}", f"place:{PLACE}", "app:media", "job:media/Encode", "key:media/k1"]
)
FATES = st.builds(
    Fate,
    reason=st.sampled_from(list(Reason)),
    exit_code=st.sampled_from([0, 1]),
    blame_definition=st.booleans(),
)
SPANS = st.sampled_from([timedelta(0), timedelta(seconds=91), timedelta(days=10)])
TRIES = {"Encode": 1, "Once": 2, "Mail": 0}


@dataclass
class Life:
    """What the model knows of one execution."""

    app: str
    job: str
    body: str
    state: State = State.QUEUED
    round: int = 1
    counted: int = 0
    uncounted: int = 0
    attempts: int = 0
    asked_to_cancel: bool = False
    stop: Reason | None = None
    retries: list[str] = field(default_factory=list)

    def follow(self, fate: Fate) -> None:
        """Live on after an attempt that ended so."""
        fate = self._as_asked(fate)
        if fate.reason is Reason.EXITED and fate.exit_code == 0:
            self.counted, self.state = self.counted + 1, State.SUCCEEDED
        elif self.asked_to_cancel or fate.reason is Reason.CANCELLED:
            self.uncounted, self.state = self.uncounted + 1, State.CANCELLED
        elif fate.reason is Reason.INTERRUPTED or (
            fate.reason is Reason.NEVER_STARTED and not fate.blame_definition
        ):
            self.uncounted += 1
            self.state = State.FAILED if self.uncounted > 20 else State.QUEUED
        else:
            self.counted += 1
            over = self.counted > TRIES[self.job]
            over |= self.job == "Once" and fate.reason is Reason.VANISHED
            self.state = State.FAILED if over else State.RETRYING

    def _as_asked(self, fate: Fate) -> Fate:
        named = fate.reason not in (Reason.NEVER_STARTED, Reason.OUT_OF_MEMORY)
        if self.stop is Reason.TIMED_OUT and named:
            return replace(fate, reason=Reason.TIMED_OUT)
        succeeded = fate.reason is Reason.EXITED and fate.exit_code == 0
        if self.stop is Reason.CANCELLED and named and not succeeded:
            return replace(fate, reason=Reason.CANCELLED)
        return fate


class Lives(RuleBasedStateMachine):
    """Executions that are enqueued, run, end, are cancelled and retried, with time passing."""

    ids = Bundle("ids")
    unseen = Bundle("unseen")
    claims = Bundle("claims")

    def __init__(self, store: Store) -> None:
        super().__init__()
        self.store = store
        self.lives: dict[str, Life] = {}
        self.tombstones: dict[str, str] = {}
        self.used: dict[str, int] = {}
        self.live: list[AttemptId] = []
        empty(store)
        define(store, "media", "Encode", concurrency=1, retry=RetryPolicy(limit=1, jitter=False))
        define(store, "media", "Once", at_most_once=True, retry=RetryPolicy(limit=2, jitter=False))
        define(store, "shop", "Mail", retry=RetryPolicy(limit=0, jitter=False))
        set_limit(store, f"queue:{QUEUE}", 5)
        set_limit(store, "app:media", 3)

    @initialize(target=ids, wanted=st.lists(st.tuples(JOBS, KEYS), min_size=2, max_size=8))
    def enqueue_some(self, wanted: list[tuple[tuple[str, str], str | None]]) -> object:
        return multiple(*[self._enqueue(job, key, 0, 1) for job, key in wanted])

    @rule(target=ids, job=JOBS, key=KEYS, days=st.sampled_from([0, 0, 3]), times=st.integers(1, 3))
    def enqueue(self, job: tuple[str, str], key: str | None, days: int, times: int) -> str:
        return self._enqueue(job, key, days, times)

    def _enqueue(self, job: tuple[str, str], key: str | None, days: int, times: int) -> str:
        message_id = str(new_message_id())
        run_at = now() + self.store.shift + timedelta(days=days) if days else None
        body = a_body(*job, message_id=message_id, concurrency_key=key, run_at=run_at)
        take_in(self.store, *[body] * times)
        self.lives[message_id] = Life(*job, body)
        return message_id

    @rule(message_id=ids)
    def deliver_again(self, message_id: str) -> None:
        sorting = take_in(self.store, self.lives[message_id].body)
        assert len(sorting.done) == 1

    @rule(target=unseen, app=st.sampled_from(["", "media", "shop"]))
    def cancel_unseen(self, app: str) -> str:
        message_id = str(new_message_id())
        assert self._cancel(message_id, app) is Cancelled.UNSEEN
        self.tombstones[message_id] = app
        return message_id

    @rule(target=ids, message_id=consumes(unseen), job=JOBS)
    def deliver_late(self, message_id: str, job: tuple[str, str]) -> str:
        body = a_body(*job, message_id=message_id)
        take_in(self.store, body)
        mine = self.tombstones.pop(message_id) in ("", job[0])
        state = State.CANCELLED if mine else State.QUEUED
        self.lives[message_id] = Life(*job, body, state=state)
        return message_id

    @rule(target=claims, owner=st.sampled_from("ab"), most=st.integers(1, 4))
    def claim(self, owner: str, most: int) -> object:
        found = claim_some(self.store, most, owner=owner)
        assert len(found) <= most
        for each in found:
            self._started(each)
        if len(found) < most:
            self._nothing_fits()
        return multiple(*[each.attempt for each in found])

    @rule(attempt=claims)
    def run_it(self, attempt: AttemptId) -> None:
        before = self._look(attempt).state
        assert mark_running(self.store, attempt) is (before is AttemptState.STARTING)

    @precondition(lambda self: self.live)
    @rule(which=st.integers(0, 7), fate=FATES)
    def end_a_live_one(self, which: int, fate: Fate) -> None:
        self.end_any(self.live[which % len(self.live)], fate)

    @rule(attempt=claims, fate=FATES)
    def end_any(self, attempt: AttemptId, fate: Fate) -> None:
        live = self._look(attempt).state is not AttemptState.ENDED
        settlement = end(self.store, attempt, fate)
        assert (settlement is not None) is live
        if settlement is not None:
            life = self.lives[attempt[:36]]
            life.follow(fate)
            assert settlement.state is life.state

    @rule(attempt=claims, reason=st.sampled_from([Reason.TIMED_OUT, Reason.CANCELLED]))
    def stop(self, attempt: AttemptId, reason: Reason) -> None:
        if self.store.write(lambda tx: stops.request_stop(tx, attempt, reason, grace=LEASE)):
            self.lives[attempt[:36]].stop = reason

    @rule(message_id=ids)
    def cancel(self, message_id: str) -> None:
        life = self.lives[message_id]
        done = self._cancel(message_id, life.app)
        if life.state in ENDED:
            assert done is Cancelled.TOO_LATE
        elif life.state is State.RUNNING:
            assert done is Cancelled.REQUESTED
            life.asked_to_cancel = True
        else:
            assert done is Cancelled.AT_ONCE
            life.state = State.CANCELLED

    @rule(message_id=ids, again=st.booleans(), days=st.sampled_from([0, 2]))
    def retry(self, message_id: str, again: bool, days: int) -> None:
        life = self.lives[message_id]
        repeat = again and bool(life.retries)
        retry_id = life.retries[-1] if repeat else str(new_message_id())
        delay = timedelta(days=days)
        if not repeat and life.state not in ENDED:
            with pytest.raises(StillOpen):
                self.store.write(lambda tx: retry(tx, message_id, retry_id=retry_id, delay=delay))
            return
        self.store.write(lambda tx: retry(tx, message_id, retry_id=retry_id, delay=delay))
        if not repeat:
            life.retries.append(retry_id)
            life.state, life.round = State.QUEUED, life.round + 1
            life.counted = life.uncounted = 0
            life.asked_to_cancel = False

    @rule(message_id=unseen)
    def retry_unseen(self, message_id: str) -> None:
        with pytest.raises(UnknownExecution):
            self.store.write(lambda tx: retry(tx, message_id, retry_id=str(new_message_id())))

    @rule(message_id=ids)
    def wear_out(self, message_id: str) -> None:
        """Spare twenty interruptions, each a minute long."""
        self.lives[message_id].uncounted = 20
        set_columns(self.store, find(self.store, message_id).id, uncounted=20)

    @rule(span=SPANS)
    def wait(self, span: timedelta) -> None:
        later(self.store, seconds=span.total_seconds())
        ripen(self.store)

    @rule(owner=st.sampled_from("abc"))
    def take_over(self, owner: str) -> None:
        found = self.store.write(lambda tx: leases.take_over(tx, [PLACE], owner, LEASE))
        for each in found:
            after = self._look(each.id)
            assert each.lease_until <= now() + self.store.shift < after.lease_until
            assert (after.owner, after.epoch) == (owner, each.epoch + 1)
        assert self.store.write(lambda tx: leases.take_over(tx, [PLACE], "d", LEASE)) == []

    @rule(owner=st.sampled_from("abc"))
    def renew(self, owner: str) -> None:
        self.store.write(lambda tx: leases.renew(tx, owner, LEASE))

    @rule(scope=SCOPES, most=st.sampled_from([None, 0, 1, 2, 5]))
    def limit(self, scope: str, most: int | None) -> None:
        set_limit(self.store, scope, most)

    @rule()
    def count_again(self) -> None:
        assert self.store.write(recount) == {}

    @invariant()
    def everything_agrees(self) -> None:
        seen = self.store.read(Seen)
        live = [each for each in seen.attempts if each.counted is None]
        self.live = [each.id for each in sorted(live, key=lambda each: each.execution)]
        for found in seen.executions:
            self._is_as_the_model_says(found)
            agrees_with_itself(found)
            has_one_live_attempt_at_most(
                found, [each for each in seen.attempts if each.execution == found.id]
            )
        self._limits_are_kept(seen)
        nothing_is_held_that_could_start(seen)

    def _is_as_the_model_says(self, found: Execution) -> None:
        if found.message_id in self.tombstones:
            assert found.tombstone
            return
        life = self.lives[found.message_id]
        assert (found.app, found.job, found.state) == (life.app, life.job, life.state)
        assert (found.round, found.attempts) == (life.round, life.attempts)
        assert (found.counted, found.uncounted) == (life.counted, life.uncounted)
        assert (found.tombstone, found.note) == (False, None)

    def _limits_are_kept(self, seen: "Seen") -> None:
        live = Counter(
            scope
            for each in seen.attempts
            if each.state is not AttemptState.ENDED
            for scope in each.scopes
        )
        assert live == {scope: each.used for scope, each in seen.limits.items() if each.used}
        for scope, each in seen.limits.items():
            within = each.max is None or each.used <= each.max
            assert within or each.used <= self.used.get(scope, 0), "over the limit, and growing"
        self.used = {scope: each.used for scope, each in seen.limits.items()}

    def _started(self, claimed: Claim) -> None:
        life = self.lives[claimed.execution.message_id]
        assert life.state in WAITING
        life.state, life.stop = State.RUNNING, None
        life.attempts += 1
        assert claimed.launch.number == life.attempts

    def _nothing_fits(self) -> None:
        seen = self.store.read(Seen)
        for each in seen.executions:
            if each.stage is Stage.READY:
                scopes = scopes_of(each, PLACE)
                assert any(seen.limits[scope].full for scope in scopes if scope in seen.limits)

    def _cancel(self, message_id: str, app: str) -> Cancelled:
        return self.store.write(lambda tx: cancel(tx, message_id, app=app))

    def _look(self, attempt: AttemptId) -> Attempt:
        found = self.store.read(lambda tx: attempts.get(tx, attempt))
        assert found is not None
        return found


class Seen:
    """All rows, as one transaction sees them."""

    def __init__(self, tx: Tx) -> None:
        self.executions = [rows.read(row) for row in tx.execute(tables.runs.executions.select())]
        self.attempts = [
            attempts.read(row)
            for row in tx.execute(
                tables.runs.attempts.select().order_by(tables.runs.attempts.c.number)
            )
        ]
        self.limits = {each.scope: each for each in limits.read_all(tx)}


def agrees_with_itself(found: Execution) -> None:
    assert found.stage in STAGES[found.state]
    assert (found.finished_at is not None) is (found.state in ENDED)
    assert (found.held_by is not None) is (found.stage is Stage.HELD)


def has_one_live_attempt_at_most(found: Execution, tried: list[Attempt]) -> None:
    assert [each.number for each in tried] == list(range(1, found.attempts + 1))
    live = [each for each in tried if each.state is not AttemptState.ENDED]
    assert len(live) == (found.state is State.RUNNING)
    assert [each.number for each in live] in ([], [found.attempts])
    assert all((each.counted is None) is (each in live) for each in tried)


def nothing_is_held_that_could_start(seen: Seen) -> None:
    for scope in {each.held_by for each in seen.executions if each.held_by is not None}:
        free = seen.limits[scope].free
        ready = sum(
            each.stage is Stage.READY and scope in scopes_of(each, PLACE)
            for each in seen.executions
        )
        assert free is not None
        assert ready >= free, f"{scope} has room for what it holds"


def empty(store: Store) -> None:
    """Forget every row, and that time has passed."""

    def forget(tx: Tx) -> None:
        for table in tables.metadata.tables.values():
            if table is not tables.definitions.installation:
                tx.execute(table.delete())

    store.write(forget)
    store.shift = timedelta(0)


@pytest.fixture
def store() -> Iterator[Store]:
    memory = Path("/dev/shm")  # a sync costs nothing there
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        url = migrated(f"sqlite:///{folder}/barbeque.db")
        with closing(Store(url)) as opened:
            yield opened


@pytest.mark.timeout(600)  # a failure is made small first, for up to five minutes
def test_an_execution_lives_by_the_rules_whatever_happens_to_it(store: Store) -> None:
    class Here(Lives):
        def __init__(self) -> None:
            super().__init__(store)

    run_state_machine_as_test(
        Here,
        settings=settings(
            max_examples=200,
            stateful_step_count=40,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
