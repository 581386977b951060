"""What a person may do here: every button is a form that is answered with a redirect."""

import json
import logging
from collections.abc import Callable

from fastapi import Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

from barbeque_console import rests
from barbeque_console.executions import READ, find
from barbeque_console.forms import Form
from barbeque_console.pages import Pages, redirect, segment
from barbeque_console.parts import Shown
from barbeque_console.rights import Router, asker, dead_message, execution, needs
from barbeque_console.tongue import gettext
from barbeque_py import strict_json
from barbeque_py.acts import (
    cancel_execution,
    drop_dead_message,
    retry_execution,
)
from barbeque_py.cancel import Cancelled
from barbeque_py.errors import NoDeadMessage, UnknownQueue
from barbeque_py.identity import Scope
from barbeque_py.ids import new_message_id
from barbeque_py.intake import INLINE
from barbeque_py.messages import Unreadable
from barbeque_py.resend import resend
from barbeque_py.retry import NewMessage
from barbeque_py.store import Tx, apps
from barbeque_py.suspend import pause, resume_queue

log = logging.getLogger("barbeque.console")

_GONE = "This dead message is gone: it was sent again or dropped."

_NO_QUEUE = "There is no such queue."

_CANCELLED = {
    Cancelled.AT_ONCE: "cancelled",
    Cancelled.UNSEEN: "cancelled",
    Cancelled.REQUESTED: "cancelling",
    Cancelled.KILL: "killing",
    Cancelled.TOO_LATE: "too-late",
}


class Actions:
    """Changes what the pages show, by the verbs that everybody uses."""

    def __init__(self, parts: Shown, pages: Pages) -> None:
        self._parts = parts
        self._pages = pages

    def router(self) -> Router:
        """Return the routes."""
        router = Router()
        run, run_dead = (needs(Scope.ENQUEUE, of=owner) for owner in (execution, dead_message))
        for path, act, declared in (
            ("/job_executions/{message_id}/retry", self.retry, run),
            ("/job_executions/{message_id}/cancel", self.cancel, run),
            ("/job_executions/{message_id}/kill", self.kill, needs(Scope.ADMIN)),
            ("/queues/{name}/pause", self.pause, needs(Scope.ADMIN)),
            ("/queues/{name}/resume", self.resume, needs(Scope.ADMIN)),
            ("/dead_messages/{number:number}/send", self.send_again, run_dead),
            ("/dead_messages/{number:number}/drop", self.drop, run_dead),
        ):
            router.add_api_route(path, act, methods=["POST"], **declared)
        asking = needs(Scope.ADMIN)
        router.add_api_route("/queues/{name}/pause", self.ask_pause, methods=READ, **asking)
        return router

    def retry(self, request: Request, message_id: str, form: Form) -> Response:
        """Give the execution another round, with the current image or another message if asked."""
        current = form.get("image") == "current"
        written = form.get("message")

        def start_round(tx: Tx) -> str:
            found = find(tx, message_id).execution
            retry_execution(
                tx,
                asker(request),
                found.message_id,
                retry_id=new_message_id(),
                current_image=current,
                message=None if written is None else _edited(found.message, written),
            )
            return found.message_id

        own = self._parts.store.write(start_round)
        return self._leave(request, f"/job_executions/{own}", "retried")

    def cancel(self, request: Request, message_id: str) -> Response:
        """Stop the execution."""
        return self._stop(request, message_id, force=False)

    def kill(self, request: Request, message_id: str) -> Response:
        """End what runs of it now, without its grace."""
        return self._stop(request, message_id, force=True)

    def _stop(self, request: Request, message_id: str, *, force: bool) -> Response:
        def stop(tx: Tx) -> tuple[str, Cancelled]:
            found = find(tx, message_id).execution.message_id
            return found, cancel_execution(tx, asker(request), found, force=force)

        own, done = self._parts.store.write(stop)
        return self._leave(request, f"/job_executions/{own}", _CANCELLED[done])

    def ask_pause(self, request: Request, name: str) -> Response:
        """Ask why the queue is to rest, and for how long."""
        if self._parts.store.read(lambda tx: apps.get_queue(tx, name)) is None:
            raise UnknownQueue(_NO_QUEUE)
        return rests.ask(
            self._pages,
            request.scope,
            title=gettext("Pause %(queue)s") % {"queue": name},
            meaning=gettext(
                "It still takes messages in; it starts nothing new, and what runs goes on."
            ),
            answer=gettext("Pause it"),
            action=f"/queues/{segment(name)}/pause",
            cancel="/queues",
        )

    def pause(self, request: Request, name: str, form: Form) -> Response:
        """Start nothing more from the queue."""
        rest = rests.read(form)
        return self._change_queue(
            request, lambda tx: pause(tx, asker(request), name, rest), "paused"
        )

    def resume(self, request: Request, name: str) -> Response:
        """Start from the queue again."""
        return self._change_queue(
            request, lambda tx: resume_queue(tx, asker(request), name), "resumed"
        )

    def _change_queue(self, request: Request, act: Callable[[Tx], None], notice: str) -> Response:
        try:
            self._parts.store.write(act)
        except UnknownQueue:
            raise UnknownQueue(_NO_QUEUE) from None
        return self._leave(request, "/queues", notice)

    def send_again(self, request: Request, number: int) -> Response:
        """Put the dead message back on its queue, then forget it.

        It keeps its id, so one that is sent twice is one execution.
        """
        try:
            resend(self._parts.store, self._parts.broker, asker(request), number)
        except NoDeadMessage:
            raise HTTPException(404, _GONE) from None
        except UnknownQueue:
            raise HTTPException(409, "Its queue is gone: make the queue again first.") from None
        except Unreadable:
            raise HTTPException(409, "As it stands this message can't be a job.") from None
        return self._leave(request, "/dead_messages", "sent")

    def drop(self, request: Request, number: int) -> Response:
        """Forget the dead message."""
        try:
            self._parts.store.write(lambda tx: drop_dead_message(tx, asker(request), number))
        except NoDeadMessage:
            raise HTTPException(404, _GONE) from None
        return self._leave(request, "/dead_messages", "dropped")

    def _leave(self, request: Request, path: str, notice: str) -> Response:
        """Wake the workers, note who asked for what, and show the page that has changed."""
        self._parts.bell.ring()
        who = asker(request)
        by = f"{who.name} at {who.origin or '-'}"
        log.info("%s by %s: %s", ascii(request.url.path)[1:-1], ascii(by)[1:-1], notice)
        return redirect(request.scope, f"{path}?notice={notice}")


def _edited(before: str | None, written: str) -> NewMessage | None:
    """Return the message that somebody wrote in place of this one; None if it says the same."""
    try:
        said = strict_json.loads(written.encode())
    except strict_json.StrictJsonError as error:
        sentence = gettext("The message can't be taken: %s. Nothing was changed.")
        raise HTTPException(422, sentence % error) from None
    if said is None:
        raise HTTPException(422, "A message can't be null. Nothing was changed.")
    if before is not None and said == json.loads(before):
        return None
    text = strict_json.dumps(said)
    if len(text) > INLINE:
        raise HTTPException(422, "A message this large is for the API. Nothing was changed.")
    return NewMessage(text, None)
