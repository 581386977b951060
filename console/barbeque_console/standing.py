"""How an execution stands, in a word that differs whenever its page has something new to say."""

from collections.abc import Sequence

from starlette.responses import JSONResponse, Response

from barbeque_console import rights
from barbeque_console.pages import Pages
from barbeque_console.parts import Shown
from barbeque_console.rights import Router, needs
from barbeque_py.errors import UnknownExecution
from barbeque_py.executions import OPEN
from barbeque_py.identity import Scope
from barbeque_py.store import Tx, attempts, reports
from barbeque_py.store import executions as rows
from barbeque_py.store.attempts import Attempt
from barbeque_py.store.executions import Execution
from barbeque_py.store.reports import Reported


def stamp(execution: Execution, known: Sequence[Attempt], told: Reported | None) -> str:
    """Return what differs whenever the execution's page has something new to say."""
    last = known[-1] if known else None
    ended = "" if last is None else f"{last.state}.{last.log_sealed_at is not None}"
    asked = execution.cancel_requested_at is not None
    said = "" if told is None else f"{told.told_at or ''}.{told.result_at or ''}"
    facts = (execution.state, execution.stage, execution.round, len(known), ended, asked, said)
    return ".".join(map(str, facts))


class Standings:
    """Tells pages whether they are out of date."""

    def __init__(self, parts: Shown, pages: Pages) -> None:
        del pages
        self._parts = parts

    def router(self) -> Router:
        """Return the route."""
        router = Router()
        path = "/job_executions/{message_id}/standing.json"
        router.add_api_route(
            path, self.show, methods=["GET"], **needs(Scope.READ, of=rights.execution)
        )
        return router

    def show(self, message_id: str) -> Response:
        """Answer with how the execution stands."""

        def read(tx: Tx) -> dict[str, object]:
            execution = rows.by_message_id(tx, message_id)
            if execution is None:
                raise UnknownExecution("No worker has taken in a message with this id.")
            known = attempts.of_execution(tx, execution.id)
            told = reports.of_attempt(tx, known[-1].id) if known else None
            return {
                "stamp": stamp(execution, known, told),
                "state": execution.state,
                "open": execution.state in OPEN,
            }

        return JSONResponse(self._parts.store.read(read))
