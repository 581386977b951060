"""Keep what jobs tell of themselves, with stars in place of what nobody may read."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from barbeque_py.attempt_log import masks_of
from barbeque_py.ids import AttemptId
from barbeque_py.masks import Mask
from barbeque_py.reports import Report
from barbeque_py.store import Tx, lots
from barbeque_py.store import reports as rows

_CUT = "the result is not kept: a mask of the app cuts through its JSON"


def report(tx: Tx, told: Mapping[AttemptId, Report]) -> None:
    """Keep what the jobs of these attempts told; what they told before and not now stays.

    Whether an attempt may still tell something is the caller's to know.
    """
    origins = lots.origins(tx, list(told))
    masks = masks_of(tx, {(each.app, each.job) for each in origins.values()})
    for attempt, each in told.items():
        if (origin := origins.get(attempt)) is not None:
            rows.put(tx, attempt, dict(_columns(tx, each, masks[origin.app, origin.job])))


def _columns(tx: Tx, told: Report, mask: Mask | None) -> Iterable[tuple[str, Any]]:
    if told.progress is not None:
        yield "percent", told.progress.percent
        yield "text", _masked(told.progress.text, mask)
        yield "told_at", tx.now
    if told.result is not None or told.fault:
        result, fault = _masked_result(told.result, mask)
        yield "result", result
        yield "fault", told.fault or fault
        yield "result_at", tx.now


def _masked(text: str, mask: Mask | None) -> str:
    return text if mask is None else mask(text.encode()).decode(errors="replace")


def _masked_result(result: str | None, mask: Mask | None) -> tuple[str | None, str | None]:
    """Return the result masked, or why it can't be: stars may fall on a brace or a quote."""
    if result is None or mask is None:
        return result, None
    text = _masked(result, mask)
    try:
        json.loads(text)
    except ValueError:
        return None, _CUT
    return text, None
