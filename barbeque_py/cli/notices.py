"""`barbeque notices`: what people were told; look, send again, test."""

from operator import itemgetter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from barbeque_py import clock
from barbeque_py.cli.exits import Code, Failure
from barbeque_py.cli.options import Json
from barbeque_py.cli.screen import (
    Columns,
    print_columns,
    print_json,
    print_line,
    short_time,
    shown,
)
from barbeque_py.cli.session import client_of
from barbeque_py.cli.waiting import Pause

if TYPE_CHECKING:
    from barbeque_py.client import Client

notices = typer.Typer(name="notices", invoke_without_command=True)

NoticeId = Annotated[str, typer.Argument(metavar="ID", help="The notice's id in the list.")]

_PATIENCE = 30.0
_CHANNELS = ("email", "slack")


@notices.callback()
def all_notices(context: typer.Context) -> None:
    """See what people were told of their jobs, tell them again, and test whether they can be told.

    Without a word behind it, lists the newest.
    """
    if context.invoked_subcommand is None:
        list_notices(context)


@notices.command("list")
def list_notices(
    context: typer.Context,
    app: Annotated[str | None, typer.Option(help="Only those of this app.")] = None,
    state: Annotated[
        str | None,
        typer.Option(
            help="Only those that are waiting, delivered, refused, nobody, gathered or `given up`."
        ),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=200, help="How many at most.")] = 50,
    before: Annotated[int | None, typer.Option(help="Only those before this number.")] = None,
    as_json: Json = False,
) -> None:
    """List notices, the newest first."""
    answer = client_of(context).notices(app=app, state=state, limit=limit, before=before)
    if as_json:
        print_json(answer)
        return
    if not answer["notices"]:
        print_line("nobody was told anything")
        return
    print_columns(_COLUMNS, answer["notices"])
    if answer["next"] is not None:
        print_line(f"there are more: --before {answer['next']}")


@notices.command("show")
def show(context: typer.Context, notice_id: NoticeId, as_json: Json = False) -> None:
    """Show one notice, and each time that it was sent with what came back."""
    notice = client_of(context).notice(notice_id)
    if as_json:
        print_json(notice)
        return
    deliveries = notice.pop("deliveries")
    for name, value in notice.items():
        print_line(f"{name:12}{shown(value)}")
    for each in deliveries:
        when, seconds = short_time(each["at"]), each["seconds"]
        print_line(f"{when} UTC  {each['outcome']} after {seconds} s: {shown(each['answer'])}")


@notices.command("resend")
def resend(context: typer.Context, notice_id: NoticeId, as_json: Json = False) -> None:
    """Send a notice again, at once and under its id."""
    answer = client_of(context).resend_notice(notice_id)
    if as_json:
        print_json(answer)
    else:
        print_line(f"{notice_id} is sent to {answer['target']} again")


@notices.command("test")
def send_test(
    context: typer.Context,
    app: Annotated[str, typer.Argument(metavar="APP", help="The app in whose name it is sent.")],
    to: Annotated[
        str | None,
        typer.Option(
            metavar="CHANNEL:TARGET",
            help="Whom to send it, as in email:ann@example.com or slack:#media. "
            "Default: all that the app names.",
        ),
    ] = None,
    job: Annotated[str | None, typer.Option(help="The job whose `notify` is tested.")] = None,
    as_json: Json = False,
) -> None:
    """Send a test, wait for it, and say what came back; ends with 1 if it was not delivered."""
    client = client_of(context)
    channel, target = _split(to)
    made = client.test_notices(app, job=job, channel=channel, target=target)
    found = _wait_for(client, made)
    if as_json:
        print_json({"notices": found})
    else:
        for each in found:
            answer = each["deliveries"][-1]["answer"] if each["deliveries"] else each["reason"]
            said = shown(answer or "a worker has not sent it yet")
            print_line(f"{each['channel']} {each['target']}: {each['state']}: {said}")
    if any(each["state"] != "delivered" for each in found):
        raise typer.Exit(Code.FAILED)


def _name(notice: dict[str, Any]) -> str:
    return f"{notice['app']}/{notice['job']}" if notice["job"] else notice["app"]


def _receiver(notice: dict[str, Any]) -> str:
    return f"{notice['channel']} {notice['target'] or notice['reason'] or 'nobody'}"


_COLUMNS: Columns = {
    "id": itemgetter("id"),
    "made (UTC)": lambda each: short_time(each["made_at"]),
    "job": _name,
    "event": itemgetter("event"),
    "to": _receiver,
    "state": itemgetter("state"),
}


def _split(to: str | None) -> tuple[str | None, str | None]:
    if to is None:
        return None, None
    channel, colon, target = to.partition(":")
    if channel not in _CHANNELS or not colon or not target:
        raise Failure(f"--to {to!r}: write email:ADDRESS or slack:CHANNEL", Code.USAGE)
    return channel, target


def _wait_for(client: "Client", ids: list[str]) -> list[dict[str, Any]]:
    """Return the notices once each is over or has failed once, or after half a minute."""
    until, pause = clock.monotonic() + _PATIENCE, Pause()
    while True:
        found = [client.notice(each) for each in ids]
        tried = all(each["state"] != "waiting" or each["tries"] for each in found)
        if tried or clock.monotonic() > until:
            return found
        pause.sleep()
