"""`barbeque workers`: who is at work; drain one, and let it take again."""

from operator import itemgetter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from barbeque_py.cli.options import Json
from barbeque_py.cli.screen import Columns, print_columns, print_json, print_line, short_time
from barbeque_py.cli.session import client_of
from barbeque_py.cli.waiting import Pause

if TYPE_CHECKING:
    from barbeque_py.client import Client

workers = typer.Typer(name="workers", invoke_without_command=True)

Name = Annotated[str, typer.Argument(metavar="NAME", help="The worker, as the list calls it.")]

_COLUMNS: Columns = {
    "worker": itemgetter("name"),
    "host": itemgetter("host"),
    "version": lambda each: each["version"] or "-",
    "state": itemgetter("state"),
    "starting": itemgetter("starting"),
    "running": itemgetter("running"),
    "seen (UTC)": lambda each: short_time(each["seen_at"]),
    "queues": lambda each: ", ".join(each["queues"]) or "all",
}


@workers.callback()
def all_workers(context: typer.Context) -> None:
    """See who is at work, and drain a worker before its machine goes away.

    Without a word behind it, lists them.
    """
    if context.invoked_subcommand is None:
        list_workers(context)


@workers.command("list")
def list_workers(context: typer.Context, as_json: Json = False) -> None:
    """List the workers, and what is held back for want of room."""
    answer = client_of(context).workers()
    if as_json:
        print_json(answer)
        return
    if not answer["workers"]:
        print_line("nobody is at work: `barbeque worker`")
        return
    print_columns(_COLUMNS, answer["workers"])
    for each in answer["places"]:
        print_line(f"{each['place']}: {each['used']} of {_slots(each['slots'])} slots taken")
    for each in answer["pauses"]:
        print_line(f"{each['scope']} is paused until {short_time(each['until'])} UTC")
    for each in answer["quotas"]:
        if each["empty"]:
            print_line(f"{each['name']} is used up for the moment")


@workers.command("drain")
def drain(
    context: typer.Context,
    name: Name,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait until it has finished what it has.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Let a worker take nothing new; it finishes what it has. Lasts as long as the worker."""
    client = client_of(context)
    answer = client.drain(name)
    if wait:
        answer = _wait_for(client, answer)
    if as_json:
        print_json(answer)
    else:
        left = answer["starting"] + answer["running"]
        print_line(f"{name} takes nothing new; it has {left} left")


@workers.command("undrain")
def undrain(context: typer.Context, name: Name, as_json: Json = False) -> None:
    """Let a drained worker take again."""
    answer = client_of(context).undrain(name)
    if as_json:
        print_json(answer)
    else:
        print_line(f"{name} takes again")


def _slots(most: int | None) -> str:
    return "unlimited" if most is None else str(most)


def _wait_for(client: "Client", worker: dict[str, Any]) -> dict[str, Any]:
    """Return how the worker stands once it has nothing left, or has gone."""
    pause = Pause()
    while worker["state"] == "draining":
        pause.sleep()
        found = {each["id"]: each for each in client.workers()["workers"]}
        gone = {**worker, "state": "drained", "starting": 0, "running": 0}
        worker = found.get(worker["id"], gone)
    return worker
