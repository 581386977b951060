"""`barbeque queues | pause | resume`: the lanes jobs wait in."""

from operator import itemgetter
from typing import Annotated

import typer

from barbeque_py.cli.options import Json, Lasts
from barbeque_py.cli.screen import (
    Columns,
    print_columns,
    print_json,
    print_line,
    resting,
    short_time,
)
from barbeque_py.cli.session import client_of

Name = Annotated[str, typer.Argument(metavar="QUEUE", help="The queue's name.")]


def queues(context: typer.Context, as_json: Json = False) -> None:
    """List the queues: their limit, what runs and waits, and since when one is paused."""
    found = client_of(context).queues()
    if as_json:
        print_json(found)
        return
    print_columns(_COLUMNS, found)


def age(seconds: float | None) -> str:
    """Write how long the oldest waits, in its largest unit."""
    if seconds is None:
        return ""
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds >= size:
            return f"{seconds / size:.0f}{unit}"
    return f"{seconds:.0f}s"


_COLUMNS: Columns = {
    "queue": itemgetter("name"),
    "limit": lambda each: "none" if each["concurrency"] is None else each["concurrency"],
    "running": itemgetter("running"),
    "waiting": itemgetter("waiting"),
    "messages": itemgetter("messages"),
    "oldest": lambda each: age(each["oldest_seconds"]),
    "dead": itemgetter("dead"),
    "paused (UTC)": lambda each: short_time(each["paused_at"]),
    "until (UTC)": lambda each: short_time(each["paused_until"]),
    "why": itemgetter("pause_reason"),
}


def pause(
    context: typer.Context,
    queue: Name,
    reason: Annotated[
        str | None, typer.Option(help="Why; told to whoever asks why an execution waits.")
    ] = None,
    lasts: Lasts = None,
    as_json: Json = False,
) -> None:
    """Start nothing more from a queue, until `resume`; it still takes in, and what runs goes on."""
    answer = client_of(context).pause(queue, reason, lasts=lasts)
    if as_json:
        print_json(answer)
    else:
        print_line(f"{queue} is paused {resting(answer['paused_at'], answer['paused_until'])}")


def resume(context: typer.Context, queue: Name, as_json: Json = False) -> None:
    """Start from a paused queue again."""
    answer = client_of(context).resume(queue)
    if as_json:
        print_json(answer)
    else:
        print_line(f"{queue} is not paused")
