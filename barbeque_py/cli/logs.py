"""`barbeque logs`: prints what attempts wrote."""

from enum import StrEnum
from typing import Annotated

import typer

from barbeque_py.cli.options import MessageId
from barbeque_py.cli.session import client_of


class Stream(StrEnum):
    """One of the two streams a job writes to."""

    OUT = "out"
    ERR = "err"


def logs(
    context: typer.Context,
    message_id: MessageId,
    *,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on, attempt after attempt, to the end.")
    ] = False,
    attempt: Annotated[
        int | None,
        typer.Option(min=1, help="Which attempt; left out: the newest, with -f the first."),
    ] = None,
    tail: Annotated[
        int | None, typer.Option(min=1, help="Begin so many lines before the end.")
    ] = None,
    stream: Annotated[Stream | None, typer.Option(help="Only what it wrote to this one.")] = None,
    timestamps: Annotated[
        bool, typer.Option("--timestamps", "-t", help="Each line with its time and stream.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print each line as a JSON object, for programs.")
    ] = False,
) -> None:
    """Print the log of an execution's attempt, as the job wrote it.

    With -f it waits for an execution that no worker has seen yet, goes on through retries until the
    execution has ended, and ends with 0 when it succeeded, else with 1. Standard output has the
    log alone; what happens between attempts is told on standard error.
    """
    from barbeque_py.cli.tail import Tail, Wanted
    from barbeque_py.cli.waiting import code_of

    wanted = Wanted(stream=stream, timestamps=timestamps, tail=tail, as_json=as_json)
    printing = Tail(client_of(context), message_id, wanted)
    if not follow:
        printing.show(attempt)
        return
    raise typer.Exit(code_of(printing.follow(attempt)))
