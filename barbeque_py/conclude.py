"""Hear what an app's backend says of an attempt, and end the attempt with its result."""

from dataclasses import replace
from datetime import timedelta
from enum import StrEnum
from typing import Any

from barbeque_py import callbacks as words
from barbeque_py import strict_json
from barbeque_py.attempt_log import masks_of
from barbeque_py.callbacks import Verdict
from barbeque_py.executions import AttemptState
from barbeque_py.executor import Launch
from barbeque_py.ids import AttemptId
from barbeque_py.outcomes import Fate, Reason, Settlement
from barbeque_py.reports import Report
from barbeque_py.settle import Told, settle_all
from barbeque_py.store import Tx, attempts, callbacks, lots, stops
from barbeque_py.store.attempts import Attempt


class Heard(StrEnum):
    """What became of what a backend has said."""

    TAKEN = "taken"
    ENDED = "the attempt has ended"
    LATE = "the attempt's time is over"
    FULL = "the attempt's log is full"
    STRANGE = "no backend runs this attempt"


def hear_verdict(tx: Tx, attempt: AttemptId, verdict: Verdict) -> Heard:
    """Settle the attempt by its backend's word: the first one counts, and only in time."""
    found, refused = _listen(tx, attempt)
    if found is None:
        return refused
    settled = conclude_as_told(tx, attempt, verdict)
    return Heard.ENDED if settled is None else Heard.TAKEN


def hear_life(tx: Tx, attempt: AttemptId, text: str) -> Heard:
    """Let the attempt's time begin anew: its backend still works on it."""
    found, refused = _listen(tx, attempt)
    if found is None:
        return refused
    callbacks.mark_answered(tx, attempt)
    if text:
        callbacks.write(tx, attempt, text)
    timeout = timedelta(seconds=_launch(found).timeout)
    stops.extend(tx, attempt, tx.now + timeout)
    return Heard.TAKEN


def hear_lines(tx: Tx, attempt: AttemptId, text: str) -> Heard:
    """Add what the backend has written to the attempt's log."""
    found, refused = _listen(tx, attempt)
    if found is None:
        return refused
    callbacks.mark_answered(tx, attempt)
    return Heard.TAKEN if callbacks.write(tx, attempt, text) else Heard.FULL


def conclude(tx: Tx, attempt: AttemptId, fate: Fate, *, output: Any = None) -> Settlement | None:
    """End and settle the attempt, once: whoever comes second changes nothing and gets None."""
    fate = replace(fate, detail=_masked(tx, attempt, fate.detail))
    made = None if output is None else Report(result=strict_json.dumps(output))
    settlement = settle_all(tx, {attempt: Told(fate, report=made)}).get(attempt)
    if settlement is not None:
        callbacks.end(tx, attempt, fate.reason, fate.exit_code, fate.detail)
    return settlement


def conclude_as_told(tx: Tx, attempt: AttemptId, verdict: Verdict) -> Settlement | None:
    """End the attempt as its backend says, whose message ends its log."""
    settled = conclude(tx, attempt, fate_of(verdict), output=verdict.output)
    if settled is not None and verdict.message:
        callbacks.write(tx, attempt, verdict.message)
    return settled


def fate_of(verdict: Verdict) -> Fate:
    """Return the end that the verdict means."""
    return Fate(Reason.EXITED, exit_code=0 if verdict.ok else 1, detail=verdict.message)


def _masked(tx: Tx, attempt: AttemptId, text: str) -> str:
    origin = lots.origins(tx, [attempt]).get(attempt) if text else None
    if origin is None:
        return text
    mask = masks_of(tx, {(origin.app, origin.job)})[origin.app, origin.job]
    return text if mask is None else mask(text.encode()).decode(errors="replace")


def _listen(tx: Tx, attempt: AttemptId) -> tuple[Attempt | None, Heard]:
    """Return the attempt if its backend may still speak of it, else why not."""
    found = attempts.get(tx, attempt)
    if found is None or found.place != words.PLACE:
        return None, Heard.STRANGE
    if found.state is AttemptState.ENDED:
        return None, Heard.ENDED
    past = found.deadline_at is not None and found.deadline_at <= tx.now
    if found.stop_reason == Reason.TIMED_OUT or past:
        return None, Heard.LATE
    return found, Heard.TAKEN


def _launch(attempt: Attempt) -> Launch:
    assert attempt.request is not None, "an attempt keeps its request until it has ended"
    return Launch.from_json(attempt.request)
