"""Which executions a command means: by their ids, or by what they have in common."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from barbeque_py.cli.exits import Code, Failure, warn
from barbeque_py.cli.inputs import read_past
from barbeque_py.cli.screen import print_json, print_line

if TYPE_CHECKING:
    from barbeque_py.client import Client

_STATES = "queued, running, retrying, succeeded, failed or cancelled"
_STATUSES = "pending, running, retried, success, failed, error or cancelled"

App = Annotated[str | None, typer.Option(help="Of this app only.")]
Job = Annotated[str | None, typer.Option(help="Of this job only.")]
State = Annotated[str | None, typer.Option(help=f"In this state only: {_STATES}.")]
Status = Annotated[str | None, typer.Option(help=f"In Barbeque's words: {_STATUSES}.")]
Queue = Annotated[str | None, typer.Option(help="From this queue only.")]
User = Annotated[str | None, typer.Option(help="Asked for by this user only.")]
Tag = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME=VALUE", help="With this tag of the app; repeat it for more."),
]
Since = Annotated[
    str | None, typer.Option(metavar="TIME", help="Taken in since then: a time, or 2h for 2h ago.")
]
Until = Annotated[str | None, typer.Option(metavar="TIME", help="Taken in before then.")]
Start = Annotated[
    str | None, typer.Option("--id", metavar="TEXT", help="Whose id begins so: 8 characters.")
]
Exit = Annotated[
    str | None,
    typer.Option("--exit", metavar="CODE", help="Whose last attempt ended so: 137, or '>0'."),
]
Attempt = Annotated[
    str | None, typer.Option("--attempt", metavar="NUMBER", help="With so many attempts: '>2'.")
]
Duration = Annotated[
    str | None,
    typer.Option(metavar="DURATION", help="Whose last attempt ran so long: '>60s', '<=5m'."),
]
Text = Annotated[
    str | None, typer.Option(help="With this in the message, or in how the last attempt ended.")
]
Ids = Annotated[
    list[str] | None,
    typer.Argument(metavar="[MESSAGE_ID...]", help="Their ids; or say which with options."),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Count them, and change nothing.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")]
_NAMES = (
    *("app", "job", "state", "status", "queue", "user", "tag"),
    *("attempt", "duration", "text"),
)


def filter_of(context: typer.Context) -> dict[str, Any]:
    """Return what the options of the call narrow executions by, as the API takes it."""
    typed = context.params
    wanted = {name: typed.get(name) for name in _NAMES}
    wanted["exit"] = typed.get("exit_code")
    for name in ("since", "until"):
        if typed.get(name) is not None:
            wanted[name] = read_past(f"--{name}", typed[name]).isoformat()
    wanted["id"] = typed.get("start")
    return {name: value for name, value in wanted.items() if value}


def chosen(context: typer.Context, ids: Sequence[str] | None) -> dict[str, Any]:
    """Return the filter, empty where ids were given; raise `Failure` for both and for neither."""
    wanted = filter_of(context)
    if ids and wanted:
        raise Failure("give ids, or options that say which, not both", Code.USAGE)
    if not ids and not wanted:
        raise Failure("say which: their ids, or options such as --app and --state", Code.USAGE)
    return wanted


def change_many(
    context: typer.Context,
    client: "Client",
    action: str,
    wanted: Mapping[str, Any],
    *,
    image: str | None = None,
) -> None:
    """Count them, ask, and change them batch by batch, telling how far it has come."""
    typed = context.params
    counted = client.bulk(action, wanted, dry_run=True)
    found = counted["found"]
    if typed["dry_run"]:
        if typed["as_json"]:
            print_json(counted)
        else:
            print_line(f"{found:,} would be changed")
        return
    if not (typed["yes"] or _agreed(action, found)):
        raise Failure("nothing was changed", Code.FAILED)
    change = client.bulk(action, wanted, image=image, expected=found)
    while change["finished_at"] is None:
        warn(f"{change['changed'] + change['left_alone']:,} of {change['found']:,} so far")
        change = client.go_on(change["id"])
    if typed["as_json"]:
        print_json(change)
    else:
        left = f", {change['left_alone']:,} left alone" * bool(change["left_alone"])
        print_line(f"{change['changed']:,} changed{left}")


def _agreed(action: str, found: int) -> bool:
    import sys

    if not sys.stdin.isatty():
        raise Failure(f"{found:,} match: say --yes to {action} them, or --dry-run", Code.USAGE)
    return typer.confirm(f"{action} {found:,} executions?", err=True)
