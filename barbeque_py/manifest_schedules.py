"""The keys of the apply file that say when a job runs by the clock."""

from functools import lru_cache
from typing import Annotated, Any, Literal
from zoneinfo import available_timezones

from pydantic import AfterValidator, Field, PlainValidator, WithJsonSchema

from barbeque_py import strict_json
from barbeque_py.manifest_fields import Form, Name, QueueName, cut, read_text, string
from barbeque_py.schedules import check_cron

_LONGEST_MESSAGE = 16 * 1024
_OF_ONE_MACHINE = frozenset({"localtime", "Factory"})


def _cron(value: object) -> str:
    line = read_text(value)
    try:
        return check_cron(line)
    except ValueError as error:
        raise ValueError(f"{cut(line)} is not a cron line: {error}") from None


def _zone(value: object) -> str:
    name = read_text(value)
    if name not in _zones():
        raise ValueError(f"{cut(name)} is not a time zone such as Europe/Berlin")
    return name


@lru_cache(maxsize=1)
def _zones() -> frozenset[str]:
    return frozenset(available_timezones()) - _OF_ONE_MACHINE


def _check_message(value: object) -> object:
    if value is None:
        raise ValueError("a message is not null")
    if len(strict_json.dumps(value)) > _LONGEST_MESSAGE:
        raise ValueError(f"the message is longer than {_LONGEST_MESSAGE:,} characters of JSON")
    return value


class ScheduleForm(Form):
    """When a job runs by the clock."""

    name: Name
    """What the schedule is called, once in a job."""
    cron: Annotated[
        str, PlainValidator(_cron), string(examples=["0 3 * * *", "*/15 * * * MON-FRI"])
    ]
    """Minute, hour, day of month, month, day of week, as in Debian's cron."""
    timezone: Annotated[str, PlainValidator(_zone), string(examples=["Europe/Berlin"])] = "UTC"
    """The time zone of the line, as IANA calls it."""
    message: Annotated[Any, AfterValidator(_check_message), WithJsonSchema({})] = {}
    """The job's message, any value but null."""
    queue: QueueName | None = None
    """The queue of its runs; the job's unless given."""
    overlap: Literal["allow", "skip", "wait"] = "allow"
    """What happens when the run before has not ended: run beside it, not at all, or behind it."""
    catch_up: Literal["none", "one", "all"] = "one"
    """Which runs follow that were missed by more than a minute: none, one for all, or each."""
    catch_up_limit: int = Field(default=100, ge=1, le=1000)
    """How many missed runs follow at most, the newest, with `catch_up: all`."""
