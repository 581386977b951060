"""Let schedules rest, and go on: what somebody asks for, written into the audit trail with it."""

from barbeque_py.clock import rfc3339
from barbeque_py.identity import Identity
from barbeque_py.store import Tx, audit, schedules
from barbeque_py.store.schedules import Scheduled


def suspend(tx: Tx, who: Identity, found: Scheduled) -> Scheduled:
    """Let it start nothing until it is resumed; again, it changes nothing."""
    return _switch(tx, who, found, on=False)


def resume(tx: Tx, who: Identity, found: Scheduled) -> Scheduled:
    """Let it start its job again; what passed meanwhile is not caught up."""
    return _switch(tx, who, found, on=True)


def _switch(tx: Tx, who: Identity, found: Scheduled, *, on: bool) -> Scheduled:
    if (found.suspended_at is None) is on:
        return found
    (schedules.resume if on else schedules.suspend)(tx, found)
    own = found.schedule
    changed = schedules.get(tx, own.app, own.job, own.name)
    assert changed is not None, "it is locked"
    before, after = (
        {"suspended_at": None if each.suspended_at is None else rfc3339(each.suspended_at)}
        for each in (found, changed)
    )
    action = f"schedule.{'resume' if on else 'suspend'}"
    subject = f"schedule:{own.app}/{own.job}/{own.name}"
    audit.record(tx, who, action, subject, before=before, after=after)
    return changed
