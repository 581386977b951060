"""Take over what a Barbeque database holds, in batches that can be done again."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol

from barbeque_py.apps import NAME, QUEUE_NAME
from barbeque_py.former import (
    Former,
    FormerExecution,
    FormerTry,
    Status,
    Wanted,
    state_of,
    translate,
)
from barbeque_py.identity import Identity
from barbeque_py.ids import attempt_id, is_message_id
from barbeque_py.logs import message_key
from barbeque_py.outcomes import Reason
from barbeque_py.release import release
from barbeque_py.store import Store, Tx, apps, audit, bygone, subscriptions
from barbeque_py.store.bygone import Bygone

PLACE = "barbeque"
"""Where the attempts of the history ran, for those who read it."""

_REASONS = {
    Status.SUCCESS: Reason.EXITED,
    Status.FAILED: Reason.EXITED,
    Status.ERROR: Reason.NEVER_STARTED,
}
_NOTE = "taken over from Barbeque"
_NOTE_OF_OPEN = "taken over from Barbeque, where it was still open"
_NO_CODE = "taken over from Barbeque, which keeps no exit codes"


class Source(Protocol):
    """A Barbeque database that is read."""

    def definitions(self) -> Former:
        """Read everything but the history."""
        ...

    def history(self) -> Any:
        """Yield all executions in batches, the oldest first."""
        ...


@dataclass(slots=True)
class Tally:
    """What became of the things of one kind."""

    imported: int = 0
    there: int = 0
    """Ours already, and left as they are."""
    skipped: Counter[str] = field(default_factory=Counter)
    """How many for which reason."""

    def facts(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return {"imported": self.imported, "there": self.there, "skipped": dict(self.skipped)}


@dataclass(frozen=True, slots=True)
class Terms:
    """How to take over."""

    who: Identity
    keep: timedelta
    """What ended longer ago is not taken over: it would be forgotten at once."""
    default_registry: str | None
    default_queue: str
    hears_topics: bool
    """Whether messages come by SQS, without which nothing hears topics."""
    stopped: bool = False
    """Whether Barbeque runs no more: what is open there is taken over, too, as failed."""
    dry_run: bool = False


@dataclass(slots=True)
class Report:
    """What was taken over, or would be."""

    kinds: dict[str, Tally] = field(default_factory=dict)
    unfit: list[str] = field(default_factory=list)

    def facts(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        kinds = {name: each.facts() for name, each in self.kinds.items()}
        return {"unfit": list(self.unfit), **kinds}


def move_in(
    source: Source, store: Store, terms: Terms, tell: Callable[[Tally], None] = lambda _: None
) -> Report:
    """Take over definitions and history; what is ours already stays as it is.

    `tell` hears how the history gets on, after each batch. Raises `StoreUnavailable`.
    """
    former = source.definitions()
    wanted = translate(former, has_default_registry=terms.default_registry is not None)
    report = Report(unfit=wanted.unfit)
    if terms.dry_run:
        report.kinds = store.read(lambda tx: _compare(tx, wanted, terms))
    else:
        report.kinds = store.write(lambda tx: _make(tx, wanted, terms))
    history = report.kinds["executions"] = Tally()
    report.kinds["attempts"] = tried = Tally()
    chronicle = _Chronicle(former, terms, history)
    for batch in source.history():
        now = store.read(lambda tx: tx.now)
        fit = [found for each in batch if (found := chronicle.read(each, now)) is not None]
        added = _add(store, fit, dry_run=terms.dry_run)
        history.imported += len(added)
        history.there += len(fit) - len(added)
        tried.imported += sum(len(each.attempts) for each in fit if each.message_id in added)
        tell(history)
    if not terms.dry_run:
        facts = report.facts()
        store.write(
            lambda tx: audit.record(tx, terms.who, "barbeque.import", "installation", after=facts)
        )
    return report


def _add(store: Store, found: Sequence[Bygone], *, dry_run: bool) -> set[str]:
    """Add what is not here yet, or only look; return the message ids."""
    if dry_run:
        return store.read(lambda tx: bygone.missing(tx, found))
    return store.write(lambda tx: bygone.add(tx, found))


def _compare(tx: Tx, wanted: Wanted, terms: Terms) -> dict[str, Tally]:
    """Count what is new and what is there, and leave in `wanted` what is new."""
    had = {app.name for app in apps.all_apps(tx)}
    jobs = {(job.app, job.name) for job in apps.all_jobs(tx)}
    queues = set(apps.queue_names(tx))
    heard = {(each.queue, each.topic) for each in subscriptions.everything(tx)}
    kinds = {name: Tally() for name in ("apps", "queues", "jobs", "subscriptions")}
    wanted.apps = _new(kinds["apps"], wanted.apps, lambda app: app.name in had)
    wanted.queues = _new(kinds["queues"], wanted.queues, lambda queue: queue.name in queues)
    wanted.jobs = _new(kinds["jobs"], wanted.jobs, lambda job: (job.app, job.name) in jobs)
    topics = kinds["subscriptions"]
    if not terms.hears_topics and wanted.subscriptions:
        topics.skipped["BARBEQUE_BROKER is not sqs:"] = len(wanted.subscriptions)
        wanted.subscriptions = []
    wanted.subscriptions = _new(
        topics, wanted.subscriptions, lambda each: (each.queue, each.topic) in heard
    )
    return kinds


def _new(tally: Tally, things: Sequence[Any], is_there: Callable[[Any], bool]) -> list[Any]:
    new = [each for each in things if not is_there(each)]
    tally.imported += len(new)
    tally.there += len(things) - len(new)
    return new


def _make(tx: Tx, wanted: Wanted, terms: Terms) -> dict[str, Tally]:
    kinds = _compare(tx, wanted, terms)
    for app in wanted.apps:
        apps.put_app(tx, app)
        release(tx, terms.who, app.name, app.image, pinned=None, note=_NOTE)
    for queue in wanted.queues:
        apps.put_queue(tx, queue)
    for job in wanted.jobs:
        apps.put_job(tx, job)
    for each in wanted.subscriptions:
        subscriptions.put(tx, each)
    return kinds


class _Chronicle:
    """Reads executions of the history, and counts why some are none of ours."""

    def __init__(self, former: Former, terms: Terms, tally: Tally) -> None:
        self._jobs = {job.id: (job.app, job.name) for job in former.jobs}
        self._images = {app.name: app.image for app in former.apps}
        self._queues = dict(former.queues)
        self._terms = terms
        self._tally = tally

    def read(self, found: FormerExecution, now: datetime) -> Bygone | None:
        """Return its rows; None, with the reason counted, where it can't be taken over."""
        reason = self._reason_against(found, now)
        if reason is not None:
            self._tally.skipped[reason] += 1
            return None
        app, job = self._job_of(found)
        state, could_not_start = state_of(found.status)
        facts = {
            "app": app,
            "job": job,
            "queue": self._queue_of(found),
            "message_key": message_key(app, job, found.message_id),
            "state": state,
            "could_not_start": could_not_start,
            "reason": Reason.NEVER_STARTED if could_not_start else Reason.EXITED,
            "note": _NOTE if found.ended_at is not None else _NOTE_OF_OPEN,
            "created_at": found.created_at,
            "ended_at": found.last_seen_at,
        }
        tries = [
            self._attempt(found.message_id, number, each, self._images.get(app, ""))
            for number, each in enumerate(found.tries, start=1)
        ]
        again = [each.message_id for each in found.retries]
        return Bygone(found.message_id, facts, tries, again)

    def _reason_against(self, found: FormerExecution, now: datetime) -> str | None:
        app, job = self._job_of(found)
        if not app:
            return "its job definition was deleted"
        if not is_message_id(found.message_id):
            return "its message id is no UUID"
        named = all(NAME.fullmatch(name) for name in (app, job))
        if not named or QUEUE_NAME.fullmatch(self._queue_of(found)) is None:
            return "its app, job or queue has a name that we can't have"
        if found.ended_at is None and not self._terms.stopped:
            return "it is still open in Barbeque"
        if found.last_seen_at < now - self._terms.keep:
            return "it ended before what BARBEQUE_RETENTION keeps"
        return None

    def _job_of(self, found: FormerExecution) -> tuple[str, str]:
        return self._jobs.get(found.definition or 0, ("", ""))

    def _queue_of(self, found: FormerExecution) -> str:
        return self._queues.get(found.queue or 0, self._terms.default_queue)

    def _attempt(
        self, message_id: str, number: int, found: FormerTry, image: str
    ) -> Mapping[str, Any]:
        succeeded = found.status is Status.SUCCESS
        reason = _REASONS.get(found.status, Reason.VANISHED)
        return {
            "id": attempt_id(message_id, number),
            "number": number,
            "place": PLACE,
            "image": image,
            "reason": reason,
            "exit_code": 0 if succeeded else None,
            "detail": None if succeeded else _NO_CODE,
            "started_at": None if reason is Reason.NEVER_STARTED else found.created_at,
            "claimed_at": found.created_at,
            "finished_at": found.finished_at or found.created_at,
        }
