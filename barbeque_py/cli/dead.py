"""`barbeque dead`: messages that can't become executions; look, mend, send again, forget."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from barbeque_py.cli.exits import Code, Failure
from barbeque_py.cli.inputs import read_text
from barbeque_py.cli.options import Json
from barbeque_py.cli.screen import print_json, print_line, print_table, short_time, shown
from barbeque_py.cli.session import client_of

if TYPE_CHECKING:
    from barbeque_py.client import Client

dead = typer.Typer(name="dead", invoke_without_command=True)

Number = Annotated[int, typer.Argument(metavar="ID", min=1, help="Its number in the list.")]


@dead.callback()
def dead_messages(context: typer.Context) -> None:
    """Messages that can't become executions: look at them, mend them, send them again.

    Without a word behind it, lists them.
    """
    if context.invoked_subcommand is None:
        list_dead(context)


@dead.command("list")
def list_dead(
    context: typer.Context,
    limit: Annotated[int, typer.Option(min=1, max=200, help="How many at most.")] = 50,
    before: Annotated[int | None, typer.Option(help="Only those before this number.")] = None,
    as_json: Json = False,
) -> None:
    """List dead messages, the newest first."""
    answer = client_of(context).dead_messages(limit=limit, before=before)
    if as_json:
        print_json(answer)
        return
    found = answer["dead_messages"]
    if not found:
        print_line("there are no dead messages")
        return
    rows = [
        (each["id"], each["queue"], short_time(each["died_at"]), each["reason"]) for each in found
    ]
    print_table(("id", "queue", "died (UTC)", "reason"), rows)
    if answer["next"] is not None:
        print_line(f"there are more: --before {answer['next']}")


@dead.command("show")
def show(context: typer.Context, number: Number, as_json: Json = False) -> None:
    """Show one dead message, its body included."""
    message = _find(client_of(context), number)
    if as_json:
        print_json(message)
        return
    for name, value in message.items():
        print_line(f"{name:12}{shown(value)}")


@dead.command("send")
def send(
    context: typer.Context,
    number: Number,
    edit: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help="Send this file's text as the body; - is standard input."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Send a dead message again, under the MESSAGE_ID it had; with --edit, another body."""
    body = None if edit is None else read_text(edit)
    answer = client_of(context).send_dead_message(number, body)
    if as_json:
        print_json(answer)
    else:
        print_line(answer["message_id"])


@dead.command("drop")
def drop(context: typer.Context, number: Number, as_json: Json = False) -> None:
    """Forget a dead message for good."""
    client_of(context).drop_dead_message(number)
    if as_json:
        print_json({"id": number, "dropped": True})
    else:
        print_line(f"dead message {number} is forgotten")


def _find(client: "Client", number: int) -> dict[str, Any]:
    found = client.dead_messages(before=number + 1, limit=1)["dead_messages"]
    if not found or found[0]["id"] != number:
        raise Failure(f"there is no dead message {number}: see `barbeque dead`", Code.NOT_FOUND)
    return dict(found[0])
