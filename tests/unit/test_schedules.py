"""When a schedule's jobs are due, over both changes of the clock, and what is caught up."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from barbeque_py.schedules import (
    CatchUp,
    Clockwork,
    Overlap,
    Schedule,
    check_cron,
    decide,
    times_after,
)

NIGHTLY = Schedule("media", "Report", "nightly", "30 2 * * *", "Europe/Berlin")
MINUTELY = Schedule("media", "Report", "often", "* * * * *")
NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def first(schedule: Schedule, after: datetime, count: int) -> list[str]:
    return [f"{each:%m-%d %H:%M}" for each in islice(times_after(schedule, after), count)]


def test_the_hour_that_spring_skips_runs_right_behind_the_gap() -> None:
    eve = datetime(2026, 3, 28, 12, tzinfo=UTC)
    assert first(NIGHTLY, eve, 2) == ["03-29 01:00", "03-30 00:30"]
    hourly = replace(NIGHTLY, cron="30 * * * *")
    night = datetime(2026, 3, 28, 23, 45, tzinfo=UTC)
    assert first(hourly, night, 3) == ["03-29 00:30", "03-29 01:30", "03-29 02:30"]


def test_the_hour_that_autumn_repeats_runs_once_and_stars_go_by_real_time() -> None:
    eve = datetime(2026, 10, 24, 12, tzinfo=UTC)
    assert first(NIGHTLY, eve, 2) == ["10-25 00:30", "10-26 01:30"]
    hourly = replace(NIGHTLY, cron="30 * * * *")
    night = datetime(2026, 10, 24, 23, 45, tzinfo=UTC)
    assert first(hourly, night, 3) == ["10-25 00:30", "10-25 01:30", "10-25 02:30"]


def test_a_schedule_made_in_the_repeated_hour_does_not_run_in_the_past() -> None:
    again = datetime(2026, 10, 25, 1, 10, tzinfo=UTC)  # 2:10 for the second time
    assert first(NIGHTLY, again, 1) == ["10-26 01:30"]


ZONES = some.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Asia/Tokyo"])
LINES = some.sampled_from(["*/7 * * * *", "30 2 * * *", "0 */3 * * *", "5 1,2,3 * * 0"])
YEAR = datetime(2026, 1, 1, tzinfo=UTC)
MINUTES = some.integers(0, 366 * 24 * 60).map(lambda n: YEAR + n * MINUTE)


@settings(max_examples=50, deadline=None)
@given(ZONES, LINES, MINUTES, some.integers(0, 3000), some.integers(100, 3000))
def test_however_often_it_is_looked_every_time_is_seen_once(
    zone: str, line: str, start: datetime, whole: int, part: int
) -> None:
    schedule = replace(NIGHTLY, cron=line, timezone=zone, catch_up=CatchUp.ALL, catch_up_limit=9999)
    end = start + whole * MINUTE
    at_once = decide(schedule, Clockwork(start), end).fire
    bit_by_bit: list[datetime] = []
    clockwork, now = Clockwork(start), start
    while now < end:
        now = min(end, now + part * MINUTE)
        decision = decide(schedule, clockwork, now)
        clockwork = decision.after
        bit_by_bit += decision.fire
    assert bit_by_bit == list(at_once)
    assert bit_by_bit == sorted(set(bit_by_bit))


def fired(schedule: Schedule, since: datetime, now: datetime) -> list[str]:
    return [f"{each:%H:%M}" for each in decide(schedule, Clockwork(since), now).fire]


def test_what_is_on_time_runs_whatever_the_rule() -> None:
    for rule in CatchUp:
        schedule = replace(MINUTELY, catch_up=rule)
        assert fired(schedule, NOON, NOON + 1.5 * MINUTE) == ["12:01"]
        assert fired(schedule, NOON, NOON + 0.5 * MINUTE) == []


@pytest.mark.parametrize(
    ("rule", "limit", "told"),
    [
        (CatchUp.NONE, 100, ["12:04", "12:05"]),
        (CatchUp.ONE, 100, ["12:05"]),
        (CatchUp.ALL, 100, ["12:01", "12:02", "12:03", "12:04", "12:05"]),
        (CatchUp.ALL, 2, ["12:04", "12:05"]),
    ],
)
def test_what_was_missed_is_caught_up_by_the_rule(
    rule: CatchUp, limit: int, told: list[str]
) -> None:
    schedule = replace(MINUTELY, catch_up=rule, catch_up_limit=limit)
    assert fired(schedule, NOON, NOON + 5 * MINUTE) == told


def test_one_run_stands_for_what_was_missed_and_is_not_on_time() -> None:
    hourly = replace(MINUTELY, cron="0 * * * *")
    assert fired(hourly, NOON, NOON + timedelta(hours=3, minutes=20)) == ["15:00"]
    none = replace(hourly, catch_up=CatchUp.NONE)
    assert fired(none, NOON, NOON + timedelta(hours=3, minutes=20)) == []


def test_years_of_missed_minutes_are_looked_through_in_a_moment() -> None:
    schedule = replace(MINUTELY, catch_up=CatchUp.ALL, catch_up_limit=3)
    decision = decide(schedule, Clockwork(NOON), NOON + timedelta(days=3000, seconds=5))
    assert [f"{each:%Y-%m-%d %H:%M}" for each in decision.fire] == [
        "2034-08-18 11:58",
        "2034-08-18 11:59",
        "2034-08-18 12:00",
    ]
    assert decision.after.until == decision.fire[-1]


def steps(schedule: Schedule, *busy: bool) -> Iterator[tuple[list[str], str | None]]:
    """Decide minute by minute; `busy` says of each whether the run before still goes on."""
    clockwork = Clockwork(NOON)
    for number, still in enumerate(busy, 1):
        decision = decide(schedule, replace(clockwork, busy=still), NOON + number * MINUTE)
        clockwork = decision.after
        waits = None if clockwork.waiting is None else f"{clockwork.waiting:%H:%M}"
        yield [f"{each:%H:%M}" for each in decision.fire], waits


def test_skip_runs_nothing_while_the_run_before_goes_on() -> None:
    schedule = replace(MINUTELY, overlap=Overlap.SKIP)
    told = list(steps(schedule, False, True, True, False))
    assert told == [(["12:01"], None), ([], None), ([], None), (["12:04"], None)]


def test_wait_keeps_the_newest_until_the_run_before_has_ended() -> None:
    schedule = replace(MINUTELY, overlap=Overlap.WAIT)
    told = list(steps(schedule, False, True, True))
    assert told == [(["12:01"], None), ([], "12:02"), ([], "12:03")]
    waiting = Clockwork(NOON + 3 * MINUTE, waiting=NOON + 3 * MINUTE)
    decision = decide(schedule, waiting, NOON + 3.5 * MINUTE)
    assert decision.fire == (NOON + 3 * MINUTE,)
    assert decision.after.waiting is None


def test_of_many_that_are_caught_up_one_runs_and_the_newest_waits() -> None:
    everything = replace(MINUTELY, catch_up=CatchUp.ALL)
    for rule, waits in ((Overlap.WAIT, NOON + 5 * MINUTE), (Overlap.SKIP, None)):
        schedule = replace(everything, overlap=rule)
        decision = decide(schedule, Clockwork(NOON), NOON + 5 * MINUTE)
        assert decision.fire == (NOON + MINUTE,)
        assert decision.after.waiting == waits


@pytest.mark.parametrize("line", ["0 3 * * *", "*/15 * * * MON-FRI", "0 0 29 2 *", "0 9 L * *"])
def test_cron_lines_are_taken(line: str) -> None:
    assert check_cron(line) == line


@pytest.mark.parametrize(
    "line",
    [
        "",
        "x",
        "* * * *",
        "* * * * * *",
        "60 * * * *",
        "0 0 30 2 *",
        "0 0 * * FOO",
        "@daily",
        "5-1 * * * *",
    ],
)
def test_what_is_no_cron_line_or_never_comes_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match=r"five fields|no such|never"):
        check_cron(line)
