"""Send a dead message again, under the public id it had, and forget it."""

from typing import Any

from barbeque_py import strict_json
from barbeque_py.broker import Broker, Parcel
from barbeque_py.errors import NoDeadMessage, RequestError, UnknownQueue
from barbeque_py.identity import Identity, Scope
from barbeque_py.messages import (
    Confirmation,
    JobMessage,
    Notification,
    TooNew,
    Unreadable,
    parse,
)
from barbeque_py.store import Store, Tx, apps, audit, dead
from barbeque_py.store.dead import DeadMessage
from barbeque_py.subscriptions import job_of

_MOST_KEYS = 10_100
"""A request may have 10,000; what is wrapped around its message has a few more."""


class NotTheirs(RequestError):
    """The body asks for more than who sends it may."""


def resend(
    store: Store, broker: Broker, who: Identity, number: int, *, body: str | None = None
) -> str:
    """Put the message back on its queue, edited or as it is; return its public id.

    It is sent first and forgotten then: a crash in between leaves a repeat that intake recognises.
    Raises `NoDeadMessage`, of another app's too, `UnknownQueue`, `Unreadable` for what would only
    die again, and `NotTheirs` for a body that asks for more than who sends it may.
    """
    found, queues = store.read(lambda tx: (dead.get(tx, number), apps.queue_names(tx)))
    if found is None or not who.may_touch(Scope.ENQUEUE, found.app):
        raise NoDeadMessage(f"there is no dead message {number}")
    if who.app is not None:
        _check_own(found, found.body if body is None else body, who.app)
    if found.queue not in queues:
        raise UnknownQueue(f"the queue {found.queue} of this message is gone; make it again")
    text = found.body if body is None else body
    store.read(lambda tx: _check(tx, found, text))
    broker.send(found.queue, [_parcel(found, text)])
    store.write(lambda tx: _forget(tx, who, found, edited=body is not None))
    return found.public_id


def _check(tx: Tx, found: DeadMessage, body: str) -> None:
    """Raise `Unreadable` for what intake would bury again: it is asked for what it would find."""
    parsed = _read(found, body)
    if isinstance(parsed, Notification):
        parsed = job_of(tx, found.queue, parsed) or parsed
    if isinstance(parsed, Notification):
        raise Unreadable(f"no subscription of this queue to the topic {parsed.topic}")
    if isinstance(parsed, JobMessage) and apps.get_job(tx, parsed.app, parsed.job) is None:
        raise Unreadable(f"no job {parsed.job} is defined in the app {parsed.app}")


def _check_own(found: DeadMessage, body: str, app: str) -> None:
    asked = _read(found, body)
    if not isinstance(asked, JobMessage) or asked.app != app:
        raise NotTheirs(f"the body: it asks for something else than a job of the app {app}")


def _forget(tx: Tx, who: Identity, found: DeadMessage, *, edited: bool) -> None:
    if dead.drop(tx, found.id):
        subject, after = f"dead_message:{found.id}", {"edited": edited}
        before = dead.facts(found)
        audit.record(
            tx, who, "dead_message.send", subject, app=found.app, before=before, after=after
        )


def can_be_sent(found: DeadMessage, body: str | None = None) -> bool:
    """Tell whether the message has a chance: it can be read, or a newer worker may read it."""
    try:
        _read(found, found.body if body is None else body)
    except Unreadable:
        return False
    return True


def _read(found: DeadMessage, body: str) -> object:
    try:
        return parse(body, broker_id=found.broker_id)
    except TooNew:
        return None


def _parcel(found: DeadMessage, body: str) -> Parcel:
    if isinstance(_read(found, body), Notification | Confirmation):
        return Parcel(body=body, app="")
    facts: Any = strict_json.loads(body.encode(), max_keys=_MOST_KEYS)
    text = strict_json.dumps(facts | {"MessageId": found.public_id})
    return Parcel(body=text, app=str(facts.get("Application", "")))
