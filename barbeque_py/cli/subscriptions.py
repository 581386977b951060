"""`barbeque subscriptions | subscribe | unsubscribe`: SNS topics whose messages start jobs."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from barbeque_py.cli.exits import Code, Failure
from barbeque_py.cli.options import Json
from barbeque_py.cli.screen import print_json, print_line, print_table, short_time
from barbeque_py.cli.session import client_of


def subscriptions(context: typer.Context, as_json: Json = False) -> None:
    """List the SNS topics that queues hear, and the jobs their messages start."""
    found = client_of(context).subscriptions()
    if as_json:
        print_json(found)
        return
    if not found:
        print_line("no queue hears a topic")
        return
    rows = [
        (each["id"], each["topic"], each["queue"], f"{each['app']}/{each['job']}", _state(each))
        for each in found
    ]
    print_table(("id", "topic", "queue", "job", "state"), rows)


def subscribe(
    context: typer.Context,
    topic: Annotated[str, typer.Argument(metavar="TOPIC", help="The ARN of the SNS topic.")],
    app: Annotated[str, typer.Argument(metavar="APP", help="The app of the job.")],
    job: Annotated[str, typer.Argument(metavar="JOB", help="The job its messages start.")],
    queue: Annotated[
        str | None, typer.Option(help="The queue that hears it; without it the server's default.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Let a queue hear an SNS topic: each of its messages starts the job, once.

    Needs SQS as broker. Said again, it repairs what somebody changed in SNS.
    """
    answer = client_of(context).subscribe(topic, app, job, queue=queue)
    if as_json:
        print_json(answer)
    if answer["fault"] is not None:
        raise _unfinished(answer)
    if not as_json:
        print_line(f"subscription {answer['id']}: {answer['queue']} hears {topic}")


def unsubscribe(
    context: typer.Context,
    number: Annotated[int, typer.Argument(metavar="ID", min=1, help="Its number in the list.")],
    as_json: Json = False,
) -> None:
    """Let a queue hear a topic no more; what is on the queue by now becomes dead messages."""
    left = client_of(context).unsubscribe(number)
    if as_json:
        print_json(left or {"id": number, "removed": True})
    if left:
        raise _unfinished(left)
    if not as_json:
        print_line(f"subscription {number} is gone")


def _unfinished(answer: Mapping[str, Any]) -> Failure:
    reason = f"subscription {answer['id']} is not finished in SNS: {answer['fault']}"
    return Failure(f"{reason}; do it again", Code.UNREACHABLE)


def _state(each: Mapping[str, Any]) -> str:
    if each["removed_at"] is not None:
        return f"to be removed since {short_time(each['removed_at'])} UTC: {each['fault'] or ''}"
    return each["fault"] or "subscribed"
