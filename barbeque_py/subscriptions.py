"""Let queues hear SNS topics: the rows first, then SNS and SQS, which can be done again."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from barbeque_py.apps import Subscription
from barbeque_py.errors import BarbequeError, OutsideError, RequestError, UnknownJob, UnknownQueue
from barbeque_py.identity import Identity, Scope
from barbeque_py.ids import notified_id
from barbeque_py.messages import Confirmation, JobMessage, Notification
from barbeque_py.store import Store, Tx, apps, audit
from barbeque_py.store import subscriptions as rows
from barbeque_py.store.subscriptions import Subscribed

NO_TOPICS = "messages of SNS come by SQS: subscriptions need BARBEQUE_BROKER=sqs:"
"""What is said where there are no topics."""

_LOOKS = 3
_UNSUBSCRIBED = (
    "somebody unsubscribed the queue in SNS: subscribe it again, or apply the file again"
)


class Topics(Protocol):
    """Lets queues hear topics. Each call can be made again, and then changes nothing more.

    Raises `RequestError` or `ConfigurationError` for a definite no, `OutsideError` when that is
    not known.
    """

    def allow(self, queue: str, topics: Iterable[str]) -> None:
        """Let these topics, and no others, put messages on the queue; raises `UnknownQueue`."""
        ...

    def subscribe(self, queue: str, topic: str) -> str:
        """Let the queue have the topic's messages, in SNS's envelope; return what SNS calls it."""
        ...

    def unsubscribe(self, subscription_arn: str) -> None:
        """Undo `subscribe`; what is gone is left alone."""
        ...

    def confirm(self, topic: str, token: str) -> str:
        """Answer SNS that the queue wants the topic; return what SNS calls the subscription."""
        ...


class StillSubscribed(RequestError):
    """The queue hears this topic for another job already."""


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A subscription that SNS does not have as it should be, and why."""

    number: int
    wanted: Subscription
    reason: str
    definite: bool
    """Whether SNS or SQS said no; else they could not be asked."""


def subscribe(
    store: Store, topics: Topics | None, who: Identity, wanted: Subscription
) -> tuple[Subscribed, bool]:
    """Subscribe the queue, and say whether it was not before; again it is brought right.

    Raises `RequestError` when SNS says no, and nothing is kept; while SNS is away the answer has a
    `fault`, and the same call finishes it. Raises `UnknownQueue`, `UnknownJob`, also for an app
    that is not theirs, and `StillSubscribed`.
    """
    there = _there(topics)
    row, new = store.write(lambda tx: _put(tx, who, wanted))
    left = {each.number: each for each in bring_right(store, there, wanted.queue)}
    fault = left.get(row.id)
    if new and fault is not None and fault.definite:
        store.write(lambda tx: _forget(tx, who, row))
        bring_right(store, there, wanted.queue)
        raise RequestError(fault.reason)
    return store.read(lambda tx: rows.get(tx, row.id)) or row, new


def unsubscribe(
    store: Store, topics: Topics | None, who: Identity, number: int
) -> Subscribed | None:
    """Let the subscription go; return what is left of it while SNS can't be asked.

    Raises `UnknownSubscription`, of another app's too.
    """
    there = _there(topics)
    row = store.write(lambda tx: _retire(tx, who, number))
    bring_right(store, there, row.queue)
    return store.read(lambda tx: rows.get(tx, number))


class UnknownSubscription(RequestError):
    """No subscription has this number."""


def bring_right(store: Store, topics: Topics, queue: str) -> list[Unfinished]:
    """Make SQS and SNS as the queue's rows say; return what could not be done yet.

    Doing it again repairs what somebody changed there.
    """
    fault = _reason(lambda: _allow(store, topics, queue))
    left = []
    for row in store.read(lambda tx: rows.of_queue(tx, queue)):
        step = _let_go if row.removed_at is not None else _let_hear
        error = step(store, topics, row, fault)
        if error is not None:
            definite = not isinstance(error, OutsideError)
            left.append(Unfinished(row.id, row.wanted, str(error), definite))
    return left


def job_of(tx: Tx, queue: str, notification: Notification) -> JobMessage | None:
    """Return what the notification asks for on this queue; None without a subscription."""
    row = rows.find(tx, queue, notification.topic)
    if row is None:
        return None
    return JobMessage(
        message_id=notified_id(notification.message_id, queue, notification.topic),
        app=row.app,
        job=row.job,
        queue=None,
        message=notification.message,
    )


def confirm(store: Store, topics: Topics, queue: str, asked: Confirmation) -> None:
    """Answer what SNS asks of the queue, or keep what it tells.

    Raises `RequestError` where nobody wants that topic, and what `Topics.confirm` raises.
    """
    row = store.read(lambda tx: rows.find(tx, queue, asked.topic))
    token = asked.token
    if row is None:
        if token is not None:
            raise RequestError(f"no subscription of this queue to the topic {asked.topic}")
    elif token is None:
        store.write(lambda tx: rows.note(tx, row.id, arn=None, fault=_UNSUBSCRIBED))
    else:
        arn = topics.confirm(asked.topic, token)
        store.write(lambda tx: rows.note(tx, row.id, arn=arn, fault=None))


def _there(topics: Topics | None) -> Topics:
    if topics is None:
        raise RequestError(NO_TOPICS)
    return topics


def _put(tx: Tx, who: Identity, wanted: Subscription) -> tuple[Subscribed, bool]:
    if apps.get_queue(tx, wanted.queue) is None:
        raise UnknownQueue(f"no queue is called {wanted.queue}")
    if not who.may(Scope.DEPLOY, wanted.app) or apps.get_job(tx, wanted.app, wanted.job) is None:
        raise UnknownJob(f"no job {wanted.job} is defined in the app {wanted.app}")
    found = rows.find(tx, wanted.queue, wanted.topic)
    if found is not None and found.wanted != wanted:
        if not who.may(Scope.DEPLOY, found.app):
            raise StillSubscribed(f"the queue {wanted.queue} hears this topic for another app")
        raise StillSubscribed(
            f"the queue {wanted.queue} hears this topic for {found.app}/{found.job} already "
            f"(subscription {found.id}): remove that one first"
        )
    row = rows.put(tx, wanted)
    if found is None:
        _record(tx, who, "create", row)
    return row, found is None


def _retire(tx: Tx, who: Identity, number: int) -> Subscribed:
    row = rows.get(tx, number)
    if row is None or not who.may(Scope.DEPLOY, row.app):
        raise UnknownSubscription(f"there is no subscription {number}")
    if row.removed_at is None:
        rows.retire(tx, [number])
        _record(tx, who, "remove", row)
    return row


def _forget(tx: Tx, who: Identity, row: Subscribed) -> None:
    """Forget a subscription that SNS never had."""
    _retire(tx, who, row.id)
    rows.drop(tx, row.id)


def _record(tx: Tx, who: Identity, verb: str, row: Subscribed) -> None:
    facts = {"topic": row.topic, "queue": row.queue, "app": row.app, "job": row.job}
    sides: dict[str, Any] = {"after" if verb == "create" else "before": facts}
    subject = f"subscription:{row.queue} {row.topic}"
    audit.record(tx, who, f"subscription.{verb}", subject, app=row.app, **sides)


def _reason(ask: Callable[[], None]) -> BarbequeError | None:
    try:
        ask()
    except BarbequeError as error:
        return error
    return None


def _allow(store: Store, topics: Topics, queue: str) -> None:
    """Write the queue's policy, until the rows are still the same afterwards."""

    def wanted() -> set[str]:
        found = store.read(lambda tx: rows.of_queue(tx, queue))
        return {each.topic for each in found if each.removed_at is None}

    names = wanted()
    for _ in range(_LOOKS):
        topics.allow(queue, names)
        before, names = names, wanted()
        if names == before:
            return


def _let_hear(
    store: Store, topics: Topics, row: Subscribed, fault: BarbequeError | None
) -> BarbequeError | None:
    arn = row.subscription_arn
    if fault is None:
        try:
            arn = topics.subscribe(row.queue, row.topic)
        except BarbequeError as error:
            fault = error
    told = None if fault is None else str(fault)
    store.write(lambda tx: rows.note(tx, row.id, arn=arn, fault=told))
    return fault


def _let_go(
    store: Store, topics: Topics, row: Subscribed, fault: BarbequeError | None
) -> BarbequeError | None:
    if not isinstance(fault, UnknownQueue) and fault is not None:
        return fault
    fault = _reason(lambda: _unsubscribe(topics, row))
    if fault is None:
        store.write(lambda tx: rows.drop(tx, row.id))
    else:
        told = str(fault)
        store.write(lambda tx: rows.note(tx, row.id, arn=row.subscription_arn, fault=told))
    return fault


def _unsubscribe(topics: Topics, row: Subscribed) -> None:
    arn = row.subscription_arn
    if arn is None:
        try:
            # A crash may have come before SNS's name for it was kept: asking again tells it.
            arn = topics.subscribe(row.queue, row.topic)
        except OutsideError:
            raise
        except BarbequeError:
            return
    topics.unsubscribe(arn)
