"""When a schedule's jobs are due, and which of those that were missed still run: decided purely."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import islice, takewhile
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

ON_TIME = timedelta(minutes=1)
"""A run that begins later than this behind its time was missed, and is the catch-up rule's."""

_FEW = 1000
"""Times that are looked through in their order; of more than that the last ones are sought."""


class Overlap(StrEnum):
    """What happens when it is time and the run before has not ended."""

    ALLOW = "allow"
    SKIP = "skip"
    WAIT = "wait"
    """The newest of those that wait runs when the one before has ended."""


class CatchUp(StrEnum):
    """What happens to times that passed while nobody could act on them."""

    NONE = "none"
    ONE = "one"
    """One run stands for all of them, and for one that is on time."""
    ALL = "all"


@dataclass(frozen=True, slots=True)
class Schedule:
    """A job that runs by the clock."""

    app: str
    job: str
    name: str
    cron: str
    """Five fields, as in Debian's cron: minute, hour, day of month, month, day of week."""
    timezone: str = "UTC"
    message: str = "{}"
    """The job's message as compact JSON."""
    queue: str | None = None
    """None is the queue of the job's definition."""
    overlap: Overlap = Overlap.ALLOW
    catch_up: CatchUp = CatchUp.ONE
    catch_up_limit: int = 100
    """How many missed times run at most, the newest, where all are caught up."""


@dataclass(frozen=True, slots=True)
class Clockwork:
    """How far a schedule has come."""

    until: datetime
    """Every time up to this one is decided about."""
    waiting: datetime | None = None
    """The time whose run waits for the end of the one before."""
    busy: bool = False
    """Whether the run before has not ended."""


@dataclass(frozen=True, slots=True)
class Decision:
    """Which times run now, and how far the schedule has come then."""

    fire: tuple[datetime, ...]
    after: Clockwork


def check_cron(line: str) -> str:
    """Return the line; raises `ValueError` for one that is none, or that never comes."""
    if len(line.split()) != 5:  # noqa: PLR2004 - what cron has
        raise ValueError("it has not five fields: minute, hour, day of month, month, day of week")
    try:
        next(CronSim(line, datetime(2024, 1, 1, tzinfo=UTC)))
    except CronSimError as error:
        raise ValueError(str(error).replace("Bad ", "no such ")) from None
    except StopIteration:
        raise ValueError("it never comes") from None
    return line


def times_after(schedule: Schedule, after: datetime) -> Iterator[datetime]:
    """Yield the schedule's times behind this one, in UTC.

    Of what the clock skips in spring, a line that names its hour runs right behind the gap; of what
    it repeats in autumn, once. Lines with `*` in minute or hour go by real time.
    """
    zone = ZoneInfo(schedule.timezone)
    for found in CronSim(schedule.cron, after.astimezone(zone)):
        instant = found.astimezone(UTC)
        if instant > after:  # not what the hour that comes twice had already
            yield instant


def decide(schedule: Schedule, clockwork: Clockwork, now: datetime) -> Decision:
    """Say which times run now."""
    due = _due(schedule, clockwork.until, now)
    after = replace(clockwork, until=due[-1] if due else clockwork.until)
    wanted = _caught_up(schedule, due, now)
    if schedule.overlap is Overlap.ALLOW:
        return Decision(tuple(wanted), after)
    wanted = [each for each in (clockwork.waiting, *wanted) if each is not None]
    fire = wanted[:1] if not clockwork.busy else []
    left = wanted[len(fire) :] if schedule.overlap is Overlap.WAIT else []
    return Decision(tuple(fire), replace(after, waiting=left[-1] if left else None))


def _caught_up(schedule: Schedule, due: list[datetime], now: datetime) -> list[datetime]:
    """Return those of the times that are due which run, by the catch-up rule."""
    on_time = [each for each in due if now - each <= ON_TIME]
    if len(on_time) == len(due):
        return due
    match schedule.catch_up:
        case CatchUp.NONE:
            return on_time
        case CatchUp.ONE:
            return due[-1:]
        case CatchUp.ALL:
            return due[-schedule.catch_up_limit :]


def _due(schedule: Schedule, after: datetime, until: datetime) -> list[datetime]:
    """Return the times behind `after` and up to `until`; of very many the last ones."""
    in_time = takewhile(lambda each: each <= until, times_after(schedule, after))
    found = list(islice(in_time, _FEW + 1))
    if len(found) <= _FEW:
        return found
    zone = ZoneInfo(schedule.timezone)
    backwards = CronSim(
        schedule.cron, (until + timedelta(seconds=1)).astimezone(zone), reverse=True
    )
    times = (each.astimezone(UTC) for each in backwards)
    return [each for each in islice(times, _FEW) if after < each <= until][::-1]
