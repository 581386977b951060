"""Give a finished execution another round on request."""

from datetime import timedelta
from typing import NamedTuple

from barbeque_py.errors import StillOpen, UnknownExecution
from barbeque_py.executions import ENDED, Stage, State
from barbeque_py.store import Tx
from barbeque_py.store import executions as rows


class NewMessage(NamedTuple):
    """Another message for the job: its JSON, or where the log store keeps one that is large."""

    text: str | None
    key: str | None


def retry(
    tx: Tx,
    message_id: str,
    *,
    retry_id: str,
    delay: timedelta = timedelta(0),
    current_image: bool = False,
    message: NewMessage | None = None,
) -> None:
    """Queue the execution again with a fresh budget; `retry_id` makes a repeat a no-op.

    It goes on with the image that it ran, or with the app's of today when `current_image` says so,
    and with the message it had, or with another one.
    Raises `UnknownExecution`, and `StillOpen` when it has not ended.
    """
    execution = rows.by_message_id(tx, message_id, lock=True)
    if execution is None or execution.tombstone:
        raise UnknownExecution(f"no worker has seen an execution {message_id}")
    if rows.is_retry_id(tx, retry_id):
        return
    due_at = tx.now + delay
    content = {} if message is None else {"message": message.text, "message_key": message.key}
    queued = rows.move_from(
        tx,
        execution.id,
        ENDED,
        State.QUEUED,
        set_={
            "stage": Stage.SCHEDULED if delay else Stage.READY,
            "due_at": due_at,
            "round": execution.round + 1,
            "image_from": execution.attempts + 1 if current_image else execution.image_from,
            "counted": 0,
            "uncounted": 0,
            "could_not_start": False,
            "reason": None,
            "cancel_requested_at": None,
            "finished_at": None,
            "sent_at": tx.now,
            **content,
        },
    )
    if not queued:
        raise StillOpen(
            f"execution {message_id} is {execution.state}: it can be retried once it has ended"
        )
    rows.add_retry_id(tx, retry_id, execution.id)
