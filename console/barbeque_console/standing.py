"""How an execution stands, in a word that differs whenever its page has something new to say."""

from collections.abc import Sequence

from barbeque_py.executions import AttemptState
from barbeque_py.store import Tx, attempts, notices, reports
from barbeque_py.store import executions as rows
from barbeque_py.store.attempts import Attempt
from barbeque_py.store.executions import Execution
from barbeque_py.store.notices import Kept
from barbeque_py.store.reports import Reported

_AGEING = 10
"""Seconds after which how long something has been running is told anew."""


def stamp(tx: Tx, message_id: str) -> str:
    """Return what differs whenever the execution's page has something new to say."""
    execution = rows.by_message_id(tx, message_id)
    if execution is None:
        return ""
    known = attempts.of_execution(tx, execution.id)
    told = reports.of_attempt(tx, known[-1].id) if known else None
    facts = _facts(execution, known, told, notices.of_execution(tx, execution.id))
    if known and known[-1].state is not AttemptState.ENDED:
        facts = (*facts, int(tx.now.timestamp()) // _AGEING)
    return repr(facts)


def _facts(
    execution: Execution, known: Sequence[Attempt], told: Reported | None, made: Sequence[Kept]
) -> tuple[object, ...]:
    last = known[-1] if known else None
    return (
        *(execution.state, execution.stage, execution.round, len(known)),
        last and (last.state, last.log_sealed_at, last.handle),
        execution.cancel_requested_at,
        told and (told.told_at, told.result_at),
        [each.state for each in made],
    )
