"""Notices as rows, and the record of each time that one was sent."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, delete, func, insert, select, update
from sqlalchemy.dialects import mysql, sqlite

from barbeque_py.notices import (
    FAILURES,
    Audience,
    Channel,
    Event,
    Notice,
    NoticeState,
    Occasion,
)
from barbeque_py.store.database import Tx
from barbeque_py.store.tables.posts import deliveries, failing, notices, outbox

MOST = 200
"""How many notices a list has at most."""

_LOOKED_THROUGH = 100_000
"""How many are looked through for what no index knows."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A notice as its row says it."""

    id: int
    notice_id: str
    execution: int | None
    app: str
    job: str
    event: Event
    audience: Audience
    channel: Channel
    target: str
    facts: Mapping[str, Any]
    same: str | None
    state: NoticeState
    reason: str | None
    receipt: str | None
    gathered_into: int | None
    tries: int
    made_at: datetime
    done_at: datetime | None

    @property
    def occasion(self) -> Occasion:
        """What it tells of."""
        return Occasion.from_facts(self.facts["occasion"])

    def to_notice(self, *, templates: Mapping[str, str], thread: str | None, count: int) -> Notice:
        """Return it as a notifier takes it."""
        facts = dict(self.facts["occasion"]) | {"count": count}
        return Notice(
            self.notice_id,
            self.channel,
            self.target,
            self.audience,
            Occasion.from_facts(facts),
            locale=self.facts["locale"],
            time_zone=self.facts["time_zone"],
            templates=templates,
            thread=thread,
        )


@dataclass(frozen=True, slots=True)
class Delivery:
    """One time that a notice was sent: when, how long it took, and what came back."""

    at: datetime
    seconds: float
    outcome: str
    request: str | None
    answer: str | None


def add(tx: Tx, execution: int | None, made: Sequence[Notice]) -> None:
    """Record the notices, each once whoever records it again."""
    if made:
        adding = sqlite.insert(notices).on_conflict_do_nothing() if tx.sqlite else _ADD
        tx.execute(adding, [_row(tx, execution, each) for each in made])


_ADD = mysql.insert(notices).on_duplicate_key_update(notice_id=notices.c.notice_id)


def _row(tx: Tx, execution: int | None, notice: Notice) -> dict[str, Any]:
    occasion, nobody = notice.occasion, not notice.target
    facts = {
        "occasion": occasion.to_facts(),
        "locale": notice.locale,
        "time_zone": notice.time_zone,
    }
    return {
        "notice_id": notice.id,
        "execution": execution,
        "app": occasion.app,
        "job": occasion.job,
        "event": occasion.event,
        "audience": notice.audience,
        "channel": notice.channel,
        "target": notice.target,
        "facts": json.dumps(facts),
        "same": _same(notice),
        "state": NoticeState.NOBODY if nobody else NoticeState.WAITING,
        "reason": notice.fault or None,
        "tries": 0,
        "made_at": tx.now,
        "done_at": tx.now if nobody else None,
    }


def _same(notice: Notice) -> str | None:
    """Return what all notices of the same failure to the same people have in common."""
    occasion = notice.occasion
    if notice.audience is not Audience.ADMINS or occasion.event not in FAILURES:
        return None
    if notice.channel is Channel.WEBHOOK:
        return None  # programs want each
    about = f"{occasion.app}/{occasion.job} {occasion.event} {notice.channel} {notice.target}"
    return digest_of(about)


def digest_of(text: str) -> str:
    """Return 32 hexadecimal digits that stand for the text."""
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def get(tx: Tx, notice_id: str, *, lock: bool = False) -> Kept | None:
    """Return the notice with this id."""
    query = select(notices).where(notices.c.notice_id == notice_id)
    row = tx.execute(query.with_for_update() if lock else query).one_or_none()
    return None if row is None else _kept(row)


def of_execution(tx: Tx, execution: int) -> list[Kept]:
    """Return the execution's notices, the first one first."""
    query = (
        select(notices).where(notices.c.execution == execution).order_by(notices.c.id).limit(MOST)
    )
    return [_kept(row) for row in tx.execute(query)]


def newest(  # noqa: PLR0913 - what narrows the choice
    tx: Tx,
    *,
    app: str | None = None,
    state: NoticeState | None = None,
    channel: Channel | None = None,
    event: Event | None = None,
    before: int | None = None,
    most: int = 50,
) -> list[Kept]:
    """Return notices, the newest first; by channel or event, of the newest 100,000 alone."""
    query = select(notices).order_by(notices.c.id.desc()).limit(most)
    for column, wanted in (("app", app), ("state", state), ("channel", channel), ("event", event)):
        if wanted is not None:
            query = query.where(notices.c[column] == wanted)
    if channel is not None or event is not None:
        newest_id = select(func.max(notices.c.id)).scalar_subquery()
        query = query.where(notices.c.id > newest_id - _LOOKED_THROUGH)
    if before is not None:
        query = query.where(notices.c.id < before)
    return [_kept(row) for row in tx.execute(query)]


def deliveries_of(tx: Tx, notice: int) -> list[Delivery]:
    """Return each time that the notice was sent, the first one first."""
    query = select(deliveries).where(deliveries.c.notice == notice).order_by(deliveries.c.id)
    return [
        Delivery(row.at, row.seconds, row.outcome, row.request, row.answer)
        for row in tx.execute(query.limit(MOST))
    ]


def record(tx: Tx, notice: int, delivery: Delivery) -> None:
    """Record one time that the notice was sent."""
    tx.execute(
        insert(deliveries).values(
            notice=notice,
            at=delivery.at,
            seconds=delivery.seconds,
            outcome=delivery.outcome,
            request=delivery.request,
            answer=None if delivery.answer is None else delivery.answer[:2000],
        )
    )
    tx.execute(update(notices).where(notices.c.id == notice).values(tries=notices.c.tries + 1))


def end(
    tx: Tx,
    notice: int,
    state: NoticeState,
    *,
    reason: str | None = None,
    receipt: str | None = None,
) -> None:
    """Record that nothing more is to be done for the notice."""
    tx.execute(
        update(notices)
        .where(notices.c.id == notice)
        .values(
            state=state,
            reason=None if reason is None else reason[:2000],
            receipt=None if receipt is None else receipt[:200],
            done_at=tx.now,
        )
    )


def explain(tx: Tx, notice: int, reason: str) -> None:
    """Leave a sentence that says why the notice still waits."""
    one = (notices.c.id == notice, notices.c.state == NoticeState.WAITING)
    tx.execute(update(notices).where(*one).values(reason=reason[:2000]))


def wait_again(tx: Tx, notice: int) -> None:
    """Let the notice wait for its delivery again, by itself, whatever else has failed."""
    tx.execute(
        update(notices)
        .where(notices.c.id == notice)
        .values(
            state=NoticeState.WAITING,
            reason=None,
            done_at=None,
            made_at=tx.now,
            same=None,
            gathered_into=None,
        )
    )


def thread_of(tx: Tx, notice: Kept) -> str | None:
    """Return the receipt of what this target got first of the same execution."""
    if notice.execution is None:
        return None
    query = (
        select(notices.c.target, notices.c.receipt)
        .where(
            notices.c.execution == notice.execution,
            notices.c.channel == notice.channel,
            notices.c.receipt.is_not(None),
        )
        .order_by(notices.c.id)
        .limit(MOST)
    )
    found = (row.receipt for row in tx.execute(query) if row.target == notice.target)
    return next(found, None)


def told_of_same(tx: Tx, notice: Kept, window: timedelta) -> datetime | None:
    """Return when these people were last told of the same failure, if it was in this window."""
    query = select(func.max(notices.c.done_at)).where(
        notices.c.same == notice.same,
        notices.c.state == NoticeState.DELIVERED,
        notices.c.done_at > tx.now - window,
    )
    found: datetime | None = tx.execute(query).scalar_one_or_none()
    return found


def gather(tx: Tx, notice: Kept) -> int:
    """Gather all waiting notices of the same failure into this one; return how many it speaks of.

    What was gathered before, for a delivery that failed, is counted too.
    """
    waiting = select(notices.c.id, notices.c.notice_id).where(
        notices.c.same == notice.same,
        notices.c.state == NoticeState.WAITING,
        notices.c.id != notice.id,
    )
    found = tx.execute(waiting.with_for_update()).all()
    if found:
        tx.execute(
            update(notices)
            .where(notices.c.id.in_([row.id for row in found]))
            .values(state=NoticeState.GATHERED, gathered_into=notice.id, done_at=tx.now)
        )
        tx.execute(
            update(outbox)
            .where(outbox.c.dedupe.in_([f"{NOTICE}:{row.notice_id}" for row in found]))
            .values(done_at=tx.now)
        )
    count = select(func.count()).where(notices.c.gathered_into == notice.id)
    return 1 + int(tx.execute(count).scalar_one())


NOTICE = "notice"
"""The outbox's kind of errand for a notice; its subject is the notice's id."""


def set_failing(tx: Tx, app: str, job: str) -> None:
    """Remember that people were told of this definition's failure."""
    row = {"app": app, "job": job, "since": tx.now}
    if tx.sqlite:
        tx.execute(sqlite.insert(failing).values(row).on_conflict_do_nothing())
    else:
        tx.execute(mysql.insert(failing).values(row).on_duplicate_key_update(job=failing.c.job))


def set_recovered(tx: Tx, app: str, job: str) -> bool:
    """Forget that the definition failed; False when it did not, or another was first."""
    one = (failing.c.app == app, failing.c.job == job)
    return tx.execute(delete(failing).where(*one)).rowcount == 1


def forget(tx: Tx, age: timedelta, most: int) -> int:
    """Delete up to `most` notices that are that old and over, with their record."""
    old = (
        select(notices.c.id)
        .where(notices.c.made_at < tx.now - age, notices.c.done_at.is_not(None))
        .order_by(notices.c.made_at)
        .limit(most)
    )
    numbers = [row.id for row in tx.execute(old)]
    if numbers:
        tx.execute(delete(deliveries).where(deliveries.c.notice.in_(numbers)))
        tx.execute(delete(notices).where(notices.c.id.in_(numbers)))
    return len(numbers)


def _kept(row: Row[Any]) -> Kept:
    facts = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for it
    facts["facts"] = json.loads(facts["facts"])
    facts["event"] = Event(facts["event"])
    facts["audience"] = Audience(facts["audience"])
    facts["channel"] = Channel(facts["channel"])
    facts["state"] = NoticeState(facts["state"])
    return Kept(**facts)
