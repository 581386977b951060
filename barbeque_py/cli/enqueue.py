"""`barbeque enqueue`: asks for one run of a job."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from barbeque_py.cli.exits import Code, Failure, complain
from barbeque_py.cli.inputs import read_instant, read_length, read_message
from barbeque_py.cli.options import Json
from barbeque_py.cli.screen import print_json, print_line
from barbeque_py.cli.session import client_of

if TYPE_CHECKING:
    from barbeque_py.client import Client

Message = Annotated[
    str | None,
    typer.Argument(
        metavar="[MESSAGE]", help="JSON, @FILE, or - for standard input; {} when left out."
    ),
]


def enqueue(
    context: typer.Context,
    app: Annotated[str, typer.Argument(metavar="APP", help="The app that defines the job.")],
    job: Annotated[str, typer.Argument(metavar="JOB", help="The job.")],
    message: Message = None,
    *,
    queue: Annotated[
        str | None, typer.Option(help="The queue; left out, the one of the job's definition.")
    ] = None,
    delay: Annotated[
        str | None, typer.Option(metavar="DURATION", help="Start it so much later: 90s, 2h.")
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Start it then: RFC 3339, or this machine's local time."),
    ] = None,
    priority: Annotated[
        int | None, typer.Option(min=-100, max=100, help="Higher first; 0 where nothing is said.")
    ] = None,
    key: Annotated[
        str | None, typer.Option(help="Concurrency key: of those with the same key, one runs.")
    ] = None,
    idempotency_key: Annotated[
        str | None,
        typer.Option(
            metavar="KEY",
            help="Of requests of an app with the same key one runs; left out: a new one each time.",
        ),
    ] = None,
    user: Annotated[
        str | None, typer.Option(metavar="ID", help="Who asked: they are told how it ended.")
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Stay until it has ended.")] = False,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Stay, and print its log while it runs.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Ask for one run of a job, and print its MESSAGE_ID.

    With --wait or --follow the exit code tells how it ended: 0 when it succeeded, else 1. Ctrl-C
    then ends the waiting, not the job.

    barbeque enqueue media Thumbnail '{"source": "http://example.com/a.mp4"}' --follow
    """
    body = read_message(message)
    length, instant = _when(delay, at)
    client = client_of(context)
    answer = client.enqueue(
        app,
        job,
        body,
        queue=queue or _queue_of(client, app, job),
        priority=priority,
        key=idempotency_key,
        concurrency_key=key,
        user_id=user,
        delay=length,
        run_at=instant,
    )
    if follow:
        _follow(client, answer.message_id)
    elif wait:
        _wait(client, answer.message_id, as_json=as_json)
    elif as_json:
        print_json(answer.facts)
    else:
        print_line(answer.message_id)


def _when(delay: str | None, at: str | None) -> tuple[timedelta | None, datetime | None]:
    if delay is not None and at is not None:
        raise Failure("--delay and --at: give one of them, not both", Code.USAGE)
    if at is not None:
        return None, read_instant("--at", at)
    return None if delay is None else read_length("--delay", delay), None


def _queue_of(client: "Client", app: str, job: str) -> str:
    """Return the queue of the job's definition; a job that is not defined can never run."""
    jobs = {each["name"]: each["jobs"] for each in client.apps()}
    if app not in jobs:
        raise Failure(f"no app is called {app!r}{_meant(app, jobs)}", Code.NOT_FOUND)
    queues = {each["name"]: str(each["queue"]) for each in jobs[app]}
    if job not in queues:
        raise Failure(f"the app {app} has no job {job!r}{_meant(job, queues)}", Code.NOT_FOUND)
    return queues[job]


def _meant(name: str, known: dict[str, Any]) -> str:
    from barbeque_py.spelling import nearest

    close = nearest(name, known)
    if close:
        return f": did you mean {close}?"
    return f": there is {', '.join(sorted(known)[:10])}" if known else ": apply its file first"


def _follow(client: "Client", message_id: str) -> None:
    from barbeque_py.cli.tail import Tail, Wanted
    from barbeque_py.cli.waiting import code_of, note

    tail = Tail(client, message_id, Wanted())
    note(f"execution {message_id}")
    raise typer.Exit(code_of(tail.follow(None)))


def _wait(client: "Client", message_id: str, *, as_json: bool) -> None:
    from barbeque_py.cli.waiting import code_of, wait_for_end

    if not as_json:
        print_line(message_id)
    execution = wait_for_end(client, message_id)
    code = code_of(execution)
    if as_json:
        print_json(execution)
    elif code is not Code.DONE:
        complain(f"the execution has {_ended(execution)}: see `barbeque logs {message_id}`")
    raise typer.Exit(code)


def _ended(execution: dict[str, Any]) -> str:
    return "been cancelled" if execution["state"] == "cancelled" else str(execution["state"])
