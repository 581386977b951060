"""`/v1/job_executions/{message_id}`: an execution's status in Barbeque's words, and its retries."""

from dataclasses import dataclass
from typing import Any, Literal, cast

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from typing_extensions import TypedDict

from barbeque_api import schemas
from barbeque_api.bodies import read_delay, read_object, shown
from barbeque_api.document import answers
from barbeque_api.parts import Served
from barbeque_api.problems import Answer, answer, refusal
from barbeque_api.rights import caller_of, needs
from barbeque_py import strict_json
from barbeque_py.acts import own_execution, retry_execution
from barbeque_py.errors import NoSuchLog
from barbeque_py.executions import BarbequeStatus, barbeque_status
from barbeque_py.identity import Identity, Scope
from barbeque_py.ids import is_message_id, new_message_id
from barbeque_py.intake import INLINE
from barbeque_py.logs import message_key
from barbeque_py.logstore import LogStore
from barbeque_py.retry import NewMessage
from barbeque_py.store import Tx, dead
from barbeque_py.store import executions as rows
from barbeque_py.store.executions import Execution

_USUAL = ("message_id", "status", "id")


@dataclass(frozen=True, slots=True)
class _Found:
    """What is known of an id: its execution, or that its message is dead."""

    execution: Execution | None
    dead: bool = False

    @property
    def shown(self) -> Execution | None:
        """The execution, unless its message has yet to come."""
        found = self.execution
        return None if found is None or found.tombstone else found


class Status(TypedDict, total=False):
    """How an execution stands, in Barbeque's words: the fields that were asked for."""

    message_id: str
    status: BarbequeStatus
    id: int | None
    html_url: str | None
    message: str | None


class Retried(TypedDict):
    """The retry, whose id answers for the execution, too."""

    message_id: str
    status: Literal["pending"]


class Statuses:
    """Tells how executions stand, and retries them."""

    def __init__(self, parts: Served) -> None:
        self._parts = parts

    def add_to(self, router: APIRouter) -> None:
        """Add the routes."""
        path = "/job_executions/{message_id}"
        router.add_api_route(
            f"/v1{path}", self.get, methods=["GET"], dependencies=[needs(Scope.READ)]
        )
        for version in ("v1", "v2"):
            router.add_api_route(
                f"/{version}{path}/retries",
                self.retry,
                methods=["POST"],
                status_code=201,
                dependencies=[needs(Scope.ENQUEUE)],
                responses=answers(409),
                openapi_extra=schemas.body(schemas.RETRY, required=False),
            )

    def get(self, message_id: str, request: Request, fields: str = "__default__") -> Answer[Status]:
        """Tell how the execution stands; `pending` too while no worker has seen it."""
        check_id(message_id)
        found = self._parts.store.read(lambda tx: _find(tx, caller_of(request), message_id))
        wanted = [name.strip() for name in fields.split(",")]
        return answer(self._facts(message_id, found, _expand(wanted)))

    async def retry(self, message_id: str, request: Request) -> Answer[Retried]:
        """Run an ended execution again, with a fresh budget of retries.

        `image` is `same`, the one it ran, or `current`, the app's of today; `message` takes the
        place of the one it had.
        """
        check_id(message_id)
        facts = await read_object(
            request, self._parts.max_body, known=schemas.RETRY["properties"], may_be_empty=True
        )
        delay = read_delay(facts, lambda sentence: refusal(400, sentence))
        image = facts.get("image") or "same"
        if image not in ("same", "current"):
            raise refusal(400, f"image: {shown(image)} is neither same nor current")
        retry_id, current = new_message_id(), image == "current"
        message = await run_in_threadpool(
            self._message, caller_of(request), facts, message_id, retry_id
        )
        await run_in_threadpool(
            self._parts.store.write,
            lambda tx: retry_execution(
                tx,
                caller_of(request),
                message_id,
                retry_id=retry_id,
                delay=delay,
                current_image=current,
                message=message,
            ),
        )
        self._parts.bell.ring()
        retried: Retried = {"message_id": retry_id, "status": "pending"}
        return answer(retried, status=201)

    def _message(
        self, who: Identity, facts: dict[str, Any], message_id: str, retry_id: str
    ) -> NewMessage | None:
        """Return the message that takes the old one's place; a large one is put where it is kept.

        Its key is the retry's own: what earlier attempts were given stays as it was.
        """
        if "message" not in facts:
            return None
        if facts["message"] is None:
            raise refusal(400, "message: null is no message; leave it out to keep the old one")
        text = strict_json.dumps(facts["message"])
        if len(text) <= INLINE:
            return NewMessage(text, None)
        found = self._parts.store.read(lambda tx: own_execution(tx, who, Scope.ENQUEUE, message_id))
        folder = message_key(found.app, found.job, found.message_id).rpartition("/")[0]
        key = f"{folder}/message-{retry_id}.json"
        self._parts.logs.put(key, [text.encode()])
        return NewMessage(None, key)

    def _facts(self, message_id: str, found: _Found, wanted: list[str]) -> Status:
        shown = found.shown
        facts: Status = {
            "message_id": shown.message_id if shown else message_id,
            "status": _status(found),
            "id": shown.id if shown else None,
        }
        if "html_url" in wanted:
            facts["html_url"] = page_url(self._parts.host_url, shown.message_id) if shown else None
        if "message" in wanted:
            facts["message"] = read_message(self._parts.logs, shown) if shown else None
        return cast("Status", {name: said for name, said in facts.items() if name in wanted})


def check_id(message_id: str) -> None:
    """Refuse (404) what can't be a message id: Barbeque's route does not match it either."""
    if not is_message_id(message_id):
        raise refusal(404, "a message_id is a UUID in lower case")


def page_url(host_url: str | None, message_id: str) -> str | None:
    """Return the address of the execution's page in the console, when that is known."""
    return None if host_url is None else f"{host_url}/job_executions/{message_id}"


def read_message(logs: LogStore, execution: Execution) -> str | None:
    """Return the message as JSON text from wherever it is kept; None when it was forgotten.

    Raises `LogStoreUnavailable`.
    """
    if execution.message is not None or execution.message_key is None:
        return execution.message
    try:
        return logs.read(execution.message_key).decode()
    except NoSuchLog:
        return None


def status_of(execution: Execution) -> BarbequeStatus:
    """Return Barbeque's word for how the execution stands."""
    return barbeque_status(
        execution.state,
        round_=execution.round,
        counted=execution.counted_before,
        could_not_start=execution.could_not_start,
    )


def _find(tx: Tx, who: Identity, message_id: str) -> _Found:
    """Look for the id; another app's is one that nobody knows."""
    execution = rows.by_message_id(tx, message_id)
    if execution is not None:
        return _Found(execution if who.may(Scope.READ, execution.app or None) else None)
    return _Found(None, dead=dead.is_dead(tx, message_id, app=who.app))


def _status(found: _Found) -> BarbequeStatus:
    if found.execution is not None:
        return status_of(found.execution)
    return "error" if found.dead else "pending"


def _expand(wanted: list[str]) -> list[str]:
    if "*" in wanted:
        return [*_USUAL, "html_url", "message"]
    return [*wanted, *_USUAL] if "__default__" in wanted else wanted
