"""`barbeque audit`: who changed what, and when."""

from typing import Annotated

import typer

from barbeque_py.cli.options import Json
from barbeque_py.cli.screen import print_json, print_line, print_table, short_time
from barbeque_py.cli.session import client_of


def audit(
    context: typer.Context,
    *,
    app: Annotated[str | None, typer.Option(help="Only what was done to this app.")] = None,
    subject: Annotated[
        str | None, typer.Option(help="Only what was done to this, as in queue:default.")
    ] = None,
    actor: Annotated[str | None, typer.Option(help="Only what this one did.")] = None,
    action: Annotated[str | None, typer.Option(help="Only this, as in queue.pause.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=200, help="How many at most.")] = 50,
    before: Annotated[int | None, typer.Option(help="Only those before this number.")] = None,
    as_json: Json = False,
) -> None:
    """List the changes that people and programs asked for, the newest first."""
    answer = client_of(context).audit(
        app=app, subject=subject, actor=actor, action=action, limit=limit, before=before
    )
    if as_json:
        print_json(answer)
        return
    found = answer["audit"]
    if not found:
        print_line("nothing was changed")
        return
    rows = [
        (each["id"], short_time(each["at"]), each["actor"], each["action"], each["subject"])
        for each in found
    ]
    print_table(("id", "at (UTC)", "who", "did", "to"), rows)
    if answer["next"] is not None:
        print_line(f"there are more: --before {answer['next']}")
