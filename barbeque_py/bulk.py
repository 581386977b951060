"""Cancel, retry, tag or delete many executions on request, in batches that a crash can't repeat."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from enum import StrEnum
from typing import Any

from barbeque_py.cancel import Cancelled, cancel
from barbeque_py.errors import BadTags, StillOpen, UnknownExecution
from barbeque_py.executions import ENDED, OPEN
from barbeque_py.identity import Identity
from barbeque_py.ids import new_message_id
from barbeque_py.logs import message_key
from barbeque_py.logstore import LogStore
from barbeque_py.retry import retry
from barbeque_py.store import Store, Tx, audit, bulk_changes, lists, retention
from barbeque_py.store.bulk_changes import BulkChange
from barbeque_py.store.entries import Entry
from barbeque_py.store.filters import Filter
from barbeque_py.store.pages import Page
from barbeque_py.tag import Tagging, tag

MOST = 100_000
"""Executions that one request may change."""

_BATCH = 50


class Action(StrEnum):
    """What is done to each."""

    CANCEL = "cancel"
    RETRY = "retry"
    DELETE = "delete"
    TAG = "tag"


def subject_to(action: Action, wanted: Filter) -> Filter:
    """Return the filter for those that the action changes: open ones, ended ones, or all."""
    if action is Action.TAG:
        return wanted
    states = OPEN if action is Action.CANCEL else ENDED
    return replace(wanted, among=tuple(sorted(states)))


def begin(
    tx: Tx,
    who: Identity,
    action: Action,
    wanted: Mapping[str, Any],
    *,
    app: str | None,
    found: int,
) -> int:
    """Record the request, with its place in the audit trail, and return its number.

    `wanted` has the API's filter and the image to go on with; `app` is the only app that it is
    about, None for any; `found` how many there are now.
    """
    number = bulk_changes.add(tx, action, wanted, app=app, asked_by=who.name, found=found)
    after = {**wanted, "found": found}
    audit.record(tx, who, f"executions.{action}", f"bulk:{number}", app=app, after=after)
    return number


def step(store: Store, logs: LogStore, number: int, wanted: Filter) -> BulkChange:
    """Change one more batch, each execution once however often this is called, by however many.

    Logs of deleted executions go first: a crash in between leaves a row without a log. Returns how
    far the request has come. Raises `LogStoreUnavailable`.
    """
    change, batch = store.read(lambda tx: _look(tx, number, wanted))
    if change.top is None:
        return change
    if change.action == Action.DELETE:
        for each in store.read(lambda tx: _deletable(tx, batch.rows)):
            folder = message_key(each.app, each.job, each.message_id).rpartition("/")[0]
            logs.remove(logs.names(f"{folder}/"))
    return store.write(lambda tx: _change(tx, change, batch.rows, top=batch.next))


def _look(tx: Tx, number: int, wanted: Filter) -> tuple[BulkChange, Page[Entry]]:
    change = bulk_changes.get(tx, number)
    assert change is not None, "bulk changes are never deleted"
    if change.top is None:
        return change, Page([], None)
    asked = subject_to(Action(change.action), wanted)
    return change, lists.newest(tx, asked, before=change.top, most=_BATCH)


def _change(tx: Tx, seen: BulkChange, batch: Sequence[Entry], *, top: int | None) -> BulkChange:
    change = bulk_changes.get(tx, seen.id, lock=True)
    assert change is not None, "bulk changes are never deleted"
    if change.top != seen.top:
        return change  # another has done this batch
    changed = _ACTIONS[Action(change.action)](tx, batch, change)
    bulk_changes.move_on(tx, change, top=top, changed=changed, left_alone=len(batch) - changed)
    done = bulk_changes.get(tx, seen.id)
    assert done is not None
    return done


def _cancel_each(tx: Tx, batch: Sequence[Entry], change: BulkChange) -> int:
    del change
    ids = sorted(each.message_id for each in batch)
    return sum(cancel(tx, each) is not Cancelled.TOO_LATE for each in ids)


def _retry_each(tx: Tx, batch: Sequence[Entry], change: BulkChange) -> int:
    current = change.wanted.get("image") == "current"
    return sum(
        _retried(tx, each, current_image=current)
        for each in sorted(each.message_id for each in batch)
    )


def _retried(tx: Tx, message_id: str, *, current_image: bool) -> bool:
    try:
        retry(tx, message_id, retry_id=new_message_id(), current_image=current_image)
    except (StillOpen, UnknownExecution):
        return False
    return True


def _delete_each(tx: Tx, batch: Sequence[Entry], change: BulkChange) -> int:
    del change
    return retention.forget(tx, [each.id for each in _deletable(tx, batch)])


def _deletable(tx: Tx, batch: Sequence[Entry]) -> list[Entry]:
    """Return those whose logs are sealed: what is still to be sealed would come back."""
    unsealed = retention.unsealed(tx, [each.id for each in batch])
    return [each for each in batch if each.id not in unsealed and each.state in ENDED]


def _tag_each(tx: Tx, batch: Sequence[Entry], change: BulkChange) -> int:
    tagging = Tagging.from_json(change.wanted["tags"])
    return sum(_tagged(tx, each.message_id, tagging) for each in batch)


def _tagged(tx: Tx, message_id: str, tagging: Tagging) -> bool:
    try:
        before, after = tag(tx, message_id, tagging)
    except (BadTags, UnknownExecution):
        return False
    return before != after


_ACTIONS: dict[Action, Callable[[Tx, Sequence[Entry], BulkChange], int]] = {
    Action.CANCEL: _cancel_each,
    Action.RETRY: _retry_each,
    Action.DELETE: _delete_each,
    Action.TAG: _tag_each,
}
