"""`barbeque status | list | retry | cancel`: executions, one and many."""

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any

import typer

from barbeque_py.cli import choosing
from barbeque_py.cli.exits import Code, Failure
from barbeque_py.cli.inputs import read_length, read_message
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
    if execution.get("waiting"):
        print_line(f"{'waiting':10}{shown(execution['waiting']['sentence'])}")
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
    app: choosing.App = None,
    job: choosing.Job = None,
    state: choosing.State = None,
    status: choosing.Status = None,
    queue: choosing.Queue = None,
    user: choosing.User = None,
    tag: choosing.Tag = None,
    since: choosing.Since = None,
    until: choosing.Until = None,
    start: choosing.Start = None,
    exit_code: choosing.Exit = None,
    attempt: choosing.Attempt = None,
    duration: choosing.Duration = None,
    text: choosing.Text = None,
    limit: Annotated[int, typer.Option(min=1, max=200, help="How many at most.")] = 20,
    before: Annotated[
        int | None, typer.Option(help="Go on after this number, the page before's `next`.")
    ] = None,
    as_json: Json = False,
) -> None:
    """List executions, the newest first."""
    del app, job, state, status, queue, user, tag, since, until, start
    del exit_code, attempt, duration, text
    wanted, client = choosing.filter_of(context), client_of(context)
    answer = client.executions(**wanted, limit=limit, before=before)
    while not answer["job_executions"] and answer["next"] is not None:
        answer = client.executions(**wanted, limit=limit, before=answer["next"])
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
    message_ids: choosing.Ids = None,
    *,
    delay: Annotated[
        str | None, typer.Option(metavar="DURATION", help="Wait so long first, at most 15m.")
    ] = None,
    image: Annotated[
        str | None,
        typer.Option(
            metavar="same|current", help="The image it ran (same), or the app's of today."
        ),
    ] = None,
    message: Annotated[
        str | None,
        typer.Option(help="Another message: JSON, @FILE, or - for standard input."),
    ] = None,
    app: choosing.App = None,
    job: choosing.Job = None,
    state: choosing.State = None,
    status: choosing.Status = None,
    queue: choosing.Queue = None,
    user: choosing.User = None,
    tag: choosing.Tag = None,
    since: choosing.Since = None,
    until: choosing.Until = None,
    start: choosing.Start = None,
    exit_code: choosing.Exit = None,
    attempt: choosing.Attempt = None,
    duration: choosing.Duration = None,
    text: choosing.Text = None,
    dry_run: choosing.DryRun = False,
    yes: choosing.Yes = False,
    as_json: Json = False,
) -> None:
    """Run executions that have ended again, with all their retries given anew.

    Their attempts' numbers go on. Ends with 1 while one is still open. With options in place of
    ids, all that have ended and match: they are counted first.

    barbeque retry --app media --status failed --since 2h
    """
    del app, job, state, status, queue, user, tag, since, until, start, dry_run, yes
    del exit_code, attempt, duration, text
    wait = None if delay is None else read_length("--delay", delay)
    if wait is not None and (wait > _LONGEST_DELAY or wait % timedelta(seconds=1)):
        raise Failure("--delay: a retry waits whole seconds, at most 15m", Code.USAGE)
    wanted, client = choosing.chosen(context, message_ids), client_of(context)
    if wanted:
        if delay is not None or message is not None:
            raise Failure("--delay and --message: for ids only", Code.USAGE)
        choosing.change_many(context, client, "retry", wanted, image=image)
        return
    changed = {} if message is None else {"message": read_message(message)}
    answers = []
    for each in message_ids or ():
        answers.append(client.retry(each, delay=wait, image=image, **changed).facts)
        if not as_json:
            print_line(f"{each} is queued again")
    if as_json:
        print_json(answers[0] if len(answers) == 1 else answers)


def cancel(
    context: typer.Context,
    message_ids: choosing.Ids = None,
    *,
    app: choosing.App = None,
    job: choosing.Job = None,
    state: choosing.State = None,
    status: choosing.Status = None,
    queue: choosing.Queue = None,
    user: choosing.User = None,
    tag: choosing.Tag = None,
    since: choosing.Since = None,
    until: choosing.Until = None,
    start: choosing.Start = None,
    exit_code: choosing.Exit = None,
    attempt: choosing.Attempt = None,
    duration: choosing.Duration = None,
    text: choosing.Text = None,
    force: Annotated[
        bool, typer.Option("--force", help="Kill what runs now, without its grace period; admins.")
    ] = False,
    dry_run: choosing.DryRun = False,
    yes: choosing.Yes = False,
    as_json: Json = False,
) -> None:
    """Stop executions wherever they stand.

    One that waits is cancelled at once; one that runs is asked to end (SIGTERM, after its grace
    period SIGKILL). Ends with 1 when one has ended already. With options in place of ids, all that
    are open and match: they are counted first.

    barbeque cancel --queue default --state queued --dry-run
    """
    del app, job, state, status, queue, user, tag, since, until, start, dry_run, yes
    del exit_code, attempt, duration, text
    wanted, client = choosing.chosen(context, message_ids), client_of(context)
    if wanted:
        if force:
            raise Failure("--force: for ids only", Code.USAGE)
        choosing.change_many(context, client, "cancel", wanted)
        return
    answers = []
    for each in message_ids or ():
        answer = client.cancel(each, force=force)
        answers.append(answer.facts)
        if not as_json:
            print_line(f"{each}: {answer.outcome}")
    if as_json:
        print_json(answers[0] if len(answers) == 1 else answers)
    if any(each["outcome"] == "already ended" for each in answers):
        raise typer.Exit(Code.FAILED)


def delete(
    context: typer.Context,
    *,
    app: choosing.App = None,
    job: choosing.Job = None,
    state: choosing.State = None,
    status: choosing.Status = None,
    queue: choosing.Queue = None,
    user: choosing.User = None,
    tag: choosing.Tag = None,
    since: choosing.Since = None,
    until: choosing.Until = None,
    start: choosing.Start = None,
    exit_code: choosing.Exit = None,
    attempt: choosing.Attempt = None,
    duration: choosing.Duration = None,
    text: choosing.Text = None,
    dry_run: choosing.DryRun = False,
    yes: choosing.Yes = False,
    as_json: Json = False,
) -> None:
    """Delete executions that have ended, with their logs and results, for good.

    All that match: they are counted first. What is old goes by itself (BARBEQUE_RETENTION).

    barbeque delete --app media --tag env=test --dry-run
    """
    del app, job, state, status, queue, user, tag, since, until, start, dry_run, yes, as_json
    del exit_code, attempt, duration, text
    wanted = choosing.chosen(context, None)
    choosing.change_many(context, client_of(context), "delete", wanted)
