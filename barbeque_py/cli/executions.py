"""`barbeque status | list | retry | cancel`: executions, one and many."""

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any

import typer

from barbeque_py.cli.exits import Code, Failure
from barbeque_py.cli.inputs import read_length
from barbeque_py.cli.options import Json, MessageId
from barbeque_py.cli.screen import print_json, print_line, print_table, short_time, shown
from barbeque_py.cli.session import client_of

_FACTS = (
    ("state", "state"),
    ("app", "app"),
    ("job", "job"),
    ("queue", "queue"),
    ("priority", "priority"),
    ("sent", "sent_at"),
    ("due", "due_at"),
    ("finished", "finished_at"),
    ("reason", "reason"),
    ("note", "note"),
    ("message", "message"),
    ("page", "html_url"),
)
_STATES = "queued, running, retrying, succeeded, failed or cancelled"
_LONGEST_DELAY = timedelta(seconds=900)


def status(context: typer.Context, message_id: MessageId, as_json: Json = False) -> None:
    """Show how an execution stands, and each of its attempts.

    Ends with 0 whatever the state is; with 0 too for an id that no worker has seen yet.
    """
    from barbeque_py.cli.waiting import explain

    execution = explain(client_of(context), message_id)
    if as_json:
        print_json(execution)
    else:
        print_execution(execution)


def print_execution(execution: Mapping[str, Any]) -> None:
    """Print an execution's facts, and its attempts as a table."""
    print_line(f"{'execution':10}{execution['message_id']}")
    for title, name in _FACTS:
        value = execution.get(name)
        if value is not None:
            text = f"{short_time(value)} UTC" if name.endswith("_at") else shown(value)
            print_line(f"{title:10}{text}")
    _print_report(execution)
    attempts = execution.get("attempts") or []
    if attempts:
        print_line("")
        print_table(("attempt", "ended", "started", "finished", "log lines"), map(_row, attempts))


def _print_report(execution: Mapping[str, Any]) -> None:
    """Print what the job told of itself."""
    from barbeque_py.cli.waiting import describe_progress

    if progress := execution.get("progress"):
        print_line(f"{'progress':10}{describe_progress(progress)}")
    if (result := execution.get("result")) is not None:
        print_line(f"{'result':10}{json.dumps(result, ensure_ascii=False)}")
    if fault := execution.get("result_fault"):
        print_line(f"{'result':10}{fault}")


def _row(attempt: Mapping[str, Any]) -> tuple[object, ...]:
    from barbeque_py.cli.tail import describe_fate

    return (
        attempt["number"],
        describe_fate(attempt),
        short_time(attempt.get("started_at")),
        short_time(attempt.get("finished_at")),
        (attempt.get("log") or {}).get("lines"),
    )


def list_executions(
    context: typer.Context,
    *,
    app: Annotated[str | None, typer.Option(help="Of this app only.")] = None,
    job: Annotated[str | None, typer.Option(help="Of this job only.")] = None,
    state: Annotated[str | None, typer.Option(help=f"In this state only: {_STATES}.")] = None,
    queue: Annotated[str | None, typer.Option(help="From this queue only.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=200, help="How many at most.")] = 20,
    before: Annotated[
        int | None, typer.Option(help="Go on after this number, the page before's `next`.")
    ] = None,
    as_json: Json = False,
) -> None:
    """List executions, the newest first."""
    answer = client_of(context).executions(
        app=app, job=job, state=state, queue=queue, limit=limit, before=before
    )
    if as_json:
        print_json(answer)
        return
    rows = [
        (
            each["message_id"],
            f"{each['app']}/{each['job']}",
            each["queue"],
            each["state"],
            each["attempts"],
            short_time(each["sent_at"]),
        )
        for each in answer["job_executions"]
    ]
    print_table(("message_id", "job", "queue", "state", "attempts", "sent (UTC)"), rows)
    if answer["next"] is not None:
        print_line(f"there are more: --before {answer['next']}")


def retry(
    context: typer.Context,
    message_id: MessageId,
    delay: Annotated[
        str | None, typer.Option(metavar="DURATION", help="Wait so long first, at most 15m.")
    ] = None,
    image: Annotated[
        str | None,
        typer.Option(
            metavar="same|current", help="The image it ran (same), or the app's of today."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Run an execution that has ended again, with all its retries given anew.

    Its attempts' numbers go on. Ends with 1 while the execution is still open.
    """
    wait = None if delay is None else read_length("--delay", delay)
    if wait is not None and (wait > _LONGEST_DELAY or wait % timedelta(seconds=1)):
        raise Failure("--delay: a retry waits whole seconds, at most 15m", Code.USAGE)
    answer = client_of(context).retry(message_id, delay=wait, image=image)
    if as_json:
        print_json(answer.facts)
    else:
        print_line(f"{message_id} is queued again")


def cancel(context: typer.Context, message_id: MessageId, as_json: Json = False) -> None:
    """Stop an execution wherever it stands.

    One that waits is cancelled at once; one that runs is asked to end (SIGTERM, after its grace
    period SIGKILL). Ends with 1 when the execution has ended already.
    """
    answer = client_of(context).cancel(message_id)
    if as_json:
        print_json(answer.facts)
    else:
        print_line(f"{message_id}: {answer.outcome}")
    if answer.outcome == "already ended":
        raise typer.Exit(Code.FAILED)
