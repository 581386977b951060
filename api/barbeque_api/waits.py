"""`/v2/job_executions/{id}/waiting`: why it does not run, also of an id that nobody has seen."""

from typing import Annotated, Any

from fastapi import APIRouter, Request
from pydantic import WithJsonSchema
from typing_extensions import TypedDict

from barbeque_api.parts import Served
from barbeque_api.problems import Answer, answer
from barbeque_api.rights import caller_of, needs
from barbeque_api.statuses import check_id
from barbeque_py.executions import State
from barbeque_py.identity import Identity, Scope
from barbeque_py.intake import WAITING_MARK
from barbeque_py.store import Tx, standings
from barbeque_py.store import executions as rows
from barbeque_py.store.executions import Execution
from barbeque_py.waiting import Cause, Waiting, decide, explain_unseen

WaitingFacts = Annotated[
    dict[str, Any],
    WithJsonSchema(
        {
            "description": "One cause, one sentence, and beside them the facts of that cause.",
            "type": "object",
            "required": ["cause", "sentence"],
            "properties": {
                "cause": {"type": "string", "enum": [str(each) for each in Cause]},
                "sentence": {"type": "string"},
            },
            "additionalProperties": True,
        }
    ),
]


class WaitingAnswer(TypedDict):
    """Why an execution does not run; `state` is null while no worker has seen it."""

    message_id: str
    state: State | None
    waiting: WaitingFacts | None


class Waits:
    """Says what executions wait for."""

    def __init__(self, parts: Served) -> None:
        self._parts = parts

    def add_to(self, router: APIRouter) -> None:
        """Add the route."""
        router.add_api_route(
            "/v2/job_executions/{message_id}/waiting",
            self.get,
            methods=["GET"],
            dependencies=[needs(Scope.READ)],
        )

    def get(self, message_id: str, request: Request) -> Answer[WaitingAnswer]:
        """Say why the execution does not run; `waiting` is null when it runs or has ended."""
        check_id(message_id)
        caller = caller_of(request)
        return answer(self._parts.store.read(lambda tx: _explain(tx, message_id, caller)))


def waiting_of(tx: Tx, execution: Execution, caller: Identity) -> Waiting | None:
    """Return what the execution waits for, as the caller may know it."""
    return decide(standings.read(tx, execution, viewer=caller.app))


def _explain(tx: Tx, message_id: str, caller: Identity) -> WaitingAnswer:
    execution = rows.by_message_id(tx, message_id)
    if execution is None or not caller.may(Scope.READ, execution.app or None):
        unseen = standings.of_unseen(tx, message_id, mark=WAITING_MARK, viewer=caller.app)
        why = explain_unseen(unseen)
        return {"message_id": message_id, "state": None, "waiting": why.to_json()}
    found = waiting_of(tx, execution, caller)
    return {
        "message_id": execution.message_id,
        "state": execution.state,
        "waiting": None if found is None else found.to_json(),
    }
