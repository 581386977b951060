"""Which executions are asked for: read from a query or a body, for lists and for bulk changes."""

from collections.abc import Callable
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
)

from barbeque_py.comparisons import Comparison, compare_duration, compare_whole
from barbeque_py.executions import State
from barbeque_py.identity import Identity
from barbeque_py.options import read_instant
from barbeque_py.store import lists
from barbeque_py.store.filters import SHORTEST_PREFIX, Filter

# Left to itself pydantic takes a number for seconds since 1970.
_Instant = Annotated[AwareDatetime, BeforeValidator(read_instant)]
_Name = Annotated[str, StringConstraints(min_length=1, max_length=255)]
_Status = Literal["pending", "running", "retried", "success", "failed", "error", "cancelled"]
_MOST_TAGS = 5


def _tag(text: str) -> str:
    if not text.partition("=")[0]:
        raise ValueError("write a tag as NAME=VALUE")
    return text


def _compared(read: Callable[[str], Comparison]) -> Callable[[object], str]:
    """Take a number with a sign before it, or without, as `read` does."""

    def check(value: object) -> str:
        text = str(value)
        read(text)
        return text

    return check


_Whole = Annotated[str, BeforeValidator(_compared(compare_whole))]
_Length = Annotated[str, BeforeValidator(_compared(compare_duration))]


class Asked(BaseModel):
    """Which executions; what is left out is any."""

    model_config = ConfigDict(extra="forbid")

    app: _Name | None = None
    job: _Name | None = None
    queue: _Name | None = None
    state: State | None = None
    status: _Status | None = None
    user: _Name | None = None
    tag: list[Annotated[str, AfterValidator(_tag)]] = Field(default=[], max_length=_MOST_TAGS)
    since: _Instant | None = None
    until: _Instant | None = None
    id: (
        Annotated[
            str,
            StringConstraints(pattern=f"^[0-9a-f-]{{{SHORTEST_PREFIX},36}}$"),
        ]
        | None
    ) = None
    exit: _Whole | None = None
    attempt: _Whole | None = None
    duration: _Length | None = None
    text: _Name | None = None

    def filter(self, caller: Identity) -> Filter | None:
        """Return what the caller may see of it; None when that is nothing.

        Raises `ValueError` for tags of no app.
        """
        if caller.app is not None and self.app not in (None, caller.app):
            return None
        app = self.app or caller.app
        if self.tag and app is None:
            raise ValueError("tag: name the app, too: tags are an app's own")
        return Filter(
            app=app,
            job=self.job,
            queue=self.queue,
            state=self.state,
            status=self.status,
            user_id=self.user,
            tags=tuple(_split(each) for each in self.tag),
            since=self.since,
            until=self.until,
            prefix=self.id,
            exit_code=_read(compare_whole, self.exit),
            attempts=_read(compare_whole, self.attempt),
            duration=_read(compare_duration, self.duration),
            text=self.text,
        )


class Listed(Asked):
    """Which executions, and which page of them."""

    before: int | None = Field(default=None, ge=1, le=(1 << 63) - 1)
    limit: int = Field(default=50, ge=1, le=lists.MOST)


def _read(compare: Callable[[str], Comparison], text: str | None) -> Comparison | None:
    return None if text is None else compare(text)


def _split(tag: str) -> tuple[str, str]:
    name, _, value = tag.partition("=")
    return name, value
