"""A month behind a console: roll-ups of every hour and day, executions of today, and failures."""

import math
from datetime import datetime, timedelta

from sqlalchemy import insert

from barbeque_py.apps import JobDefinition
from barbeque_py.executions import Stage, State
from barbeque_py.fingerprints import fingerprint_of, pattern_of
from barbeque_py.histogram import Histogram
from barbeque_py.ids import attempt_id, new_message_id
from barbeque_py.store import Tx, apps, attempts, failures, marks, revisions, rollups, tables
from barbeque_py.store import executions as rows
from barbeque_py.store.failures import Failed, Standing, Unsorted
from barbeque_py.store.rollups import ALL, Key, Span, Sums, start_of
from tests.console.rigs import PLACE, Place

RUNBOOK = """\
## What a failure affects
Videos stay in their old size. **Nobody** is charged twice.

## Workaround
1. Look at the [queue](https://example.com/queue)
2. `barbeque retry` the newest

| step | who |
|---|---|
| first | media team |

<script>alert("not run")</script> [no](javascript:alert(1))
"""
SCHEMA = {
    "type": "object",
    "required": ["key"],
    "properties": {
        "key": {"type": "string", "title": "Key", "description": "Where the video is."},
        "size": {"type": "integer", "enum": [360, 720, 1080], "default": 720},
        "fast": {"type": "boolean"},
    },
}
ANYBODY = "anybody on this machine"


def fill_numbers(place: Place) -> None:
    """Add a month's numbers, a day's executions, and what failed."""
    place.see_worker()
    place.store.write(_define)
    place.store.write(_add_up)
    for number in range(60):
        place.store.write(lambda tx, number=number: _run(tx, number))  # type: ignore[misc]
    for line, times in (
        ("ffmpeg: error while decoding stream #0:0 of /tmp/in/17.mp4", 9),
        ("Error: connection to 10.0.0.5:5432 refused after 3.5 s", 3),
        ("e" * 200, 1),
    ):
        for each in range(times):
            place.store.write(lambda tx, line=line, each=each: _fail(tx, line, each))  # type: ignore[misc]
    place.store.write(lambda tx: failures.judge(tx, 2, Standing.ACKNOWLEDGED, "ann@example.com"))


def _define(tx: Tx) -> None:
    encode = JobDefinition(
        "media", "Encode", ("encode", "--all"), runbook=RUNBOOK, message_schema=SCHEMA
    )
    apps.put_job(tx, encode)
    marks.put(tx, ANYBODY, ("media", "Encode"), [marks.STAR, "night"])
    revisions.add(tx, "media", "media:2", pinned=None, made_by="ann")


def _add_up(tx: Tx) -> None:
    now = start_of(Span.HOUR, tx.now)
    sums: dict[Key, Sums] = {}
    for hour in range(30 * 24):
        at = now - timedelta(hours=hour)
        for place, job in enumerate(("Encode", "Thumbnail", "Flaky")):
            one = _hour(at, place)
            for span in Span:
                for scope in (("media", job), ("media", ALL), (ALL, ALL)):
                    key = Key(span, *scope, start_of(span, at))
                    sums.setdefault(key, Sums()).add(one)
    rollups.add(tx, sums)


def _hour(at: datetime, place: int) -> Sums:
    many = round(40 + 30 * math.sin(at.hour / 24 * 2 * math.pi)) // (place + 1)
    failed = many // 12 if at.hour % 5 == place else 0
    sums = Sums(succeeded=many, failed=failed, cancelled=at.hour % 7 == 0, retried=failed * 2)
    sums.runs = Histogram({50 + place * 4: many, 54 + place * 4: many // 3, 62: 1 + at.hour % 3})
    sums.waits = Histogram({28: many, 36: many // 5, 44: at.hour % 2})
    sums.cpu_seconds, sums.memory_seconds = many * 12.5, many * 25.0
    return sums


def _run(tx: Tx, number: int) -> None:
    begun = tx.now - timedelta(minutes=20 * number + 3)
    state = State.FAILED if number % 9 == 4 else State.SUCCEEDED
    row = _row(tx, ("Encode", "Thumbnail")[number % 2], begun) | {
        "state": state,
        "stage": Stage.DONE,
        "attempts": 1,
        "started_at": begun,
        "finished_at": begun + timedelta(minutes=4 + number % 11 * 3),
    }
    rows.add_missing(tx, [row])


def _row(tx: Tx, job: str, at: datetime) -> dict[str, object]:
    del tx
    return rows.new_row(
        message_id=new_message_id(),
        app="media",
        job=job,
        queue="default",
        message="{}",
        message_key=None,
        options={},
        priority=0,
        due_at=at,
        sent_at=at,
        recorded_at=at,
    )


def _fail(tx: Tx, line: str, number: int) -> None:
    at = tx.now - timedelta(hours=number * 3, minutes=1)
    row = _row(tx, "Encode", at) | {
        "state": State.FAILED,
        "stage": Stage.DONE,
        "attempts": 1,
        "counted": 1,
        "started_at": at,
        "finished_at": at,
        "user_id": f"user{number % 3}",
    }
    rows.add_missing(tx, [row])
    execution = rows.by_message_id(tx, str(row["message_id"]))
    assert execution is not None
    own = attempt_id(execution.message_id, 1)
    ended = attempts.new_row(
        id=own,
        execution=execution.id,
        number=1,
        round=1,
        state="ended",
        place=PLACE,
        owner="",
        epoch=1,
        lease_until=at,
        scopes=(),
        image="media:1",
        claimed_at=at,
        finished_at=at,
        reason="exited",
        exit_code=1,
        counted=True,
        log_error=line,
    )
    tx.execute(insert(tables.runs.attempts).values(ended))
    failures.leave_unsorted(tx, [own])
    found = Unsorted(
        attempt=own,
        execution=execution.id,
        number=1,
        message_id=execution.message_id,
        app="media",
        job="Encode",
        user_id=execution.user_id,
        finished_at=at,
        reason="exited",
        exit_code=1,
        detail=None,
        log_lines=1,
        log_error=line,
    )
    failures.sort(tx, [Failed(found, fingerprint_of("exited", 1, pattern_of(line)), line)])
