"""`barbeque queues | pause | resume`: the lanes jobs wait in."""

from typing import Annotated

import typer

from barbeque_py.cli.options import Json
from barbeque_py.cli.screen import print_json, print_line, print_table, short_time
from barbeque_py.cli.session import client_of

Name = Annotated[str, typer.Argument(metavar="QUEUE", help="The queue's name.")]


_TITLES = (
    "queue",
    "limit",
    "running",
    "waiting",
    "messages",
    "oldest",
    "dead",
    "paused (UTC)",
    "why",
)


def queues(context: typer.Context, as_json: Json = False) -> None:
    """List the queues: their limit, what runs and waits, and since when one is paused."""
    found = client_of(context).queues()
    if as_json:
        print_json(found)
        return
    rows = [
        (
            each["name"],
            "none" if each["concurrency"] is None else each["concurrency"],
            each["running"],
            each["waiting"],
            each["messages"],
            age(each["oldest_seconds"]),
            each["dead"],
            short_time(each["paused_at"]),
            each["pause_reason"],
        )
        for each in found
    ]
    print_table(_TITLES, rows)


def age(seconds: float | None) -> str:
    """Write how long the oldest waits, in its largest unit."""
    if seconds is None:
        return ""
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds >= size:
            return f"{seconds / size:.0f}{unit}"
    return f"{seconds:.0f}s"


def pause(
    context: typer.Context,
    queue: Name,
    reason: Annotated[
        str | None, typer.Option(help="Why; told to whoever asks why an execution waits.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Start nothing more from a queue, until `resume`; it still takes in, and what runs goes on."""
    answer = client_of(context).pause(queue, reason)
    if as_json:
        print_json(answer)
    else:
        print_line(f"{queue} is paused since {short_time(answer['paused_at'])} UTC")


def resume(context: typer.Context, queue: Name, as_json: Json = False) -> None:
    """Start from a paused queue again."""
    answer = client_of(context).resume(queue)
    if as_json:
        print_json(answer)
    else:
        print_line(f"{queue} is not paused")
