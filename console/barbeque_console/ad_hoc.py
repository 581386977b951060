"""What somebody has a page enqueue: sent, and shown as soon as it has a page."""

import time

from starlette.responses import Response
from starlette.types import Scope

from barbeque_console.pages import redirect
from barbeque_console.parts import Shown
from barbeque_py import clock
from barbeque_py.enqueue import Request, enqueue
from barbeque_py.store import executions

_PATIENCE, _LOOK_AGAIN = 2.0, 0.05


def send_and_show(parts: Shown, scope: Scope, wanted: Request) -> Response:
    """Enqueue it and lead to its page, or to the list while no worker has seen it.

    Raises as `enqueue` does.
    """
    enqueue(parts.broker, parts.logs, [wanted])
    parts.bell.ring()
    message_id = wanted.job.message_id
    page = f"/job_executions/{message_id}" if _is_seen(parts, message_id) else "/executions"
    return redirect(scope, f"{page}?notice=enqueued")


def _is_seen(parts: Shown, message_id: str) -> bool:
    """Wait a moment for a worker to take the message in, before which it has no page."""
    until = clock.monotonic() + _PATIENCE
    while not parts.store.read(lambda tx: executions.by_message_id(tx, message_id)):
        if clock.monotonic() > until:
            return False
        time.sleep(_LOOK_AGAIN)
    return True
