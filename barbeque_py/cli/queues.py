"""`barbeque queues | pause | resume`: the lanes jobs wait in."""

from typing import Annotated

import typer

from barbeque_py.cli.options import Json
from barbeque_py.cli.screen import print_json, print_line, print_table, short_time
from barbeque_py.cli.session import client_of

Name = Annotated[str, typer.Argument(metavar="QUEUE", help="The queue's name.")]


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
            short_time(each["paused_at"]),
        )
        for each in found
    ]
    print_table(("queue", "limit", "running", "waiting", "messages", "paused (UTC)"), rows)


def pause(context: typer.Context, queue: Name, as_json: Json = False) -> None:
    """Start nothing more from a queue, until `resume`; it still takes in, and what runs goes on."""
    answer = client_of(context).pause(queue)
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
