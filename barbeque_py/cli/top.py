"""`barbeque top`: what goes on, looked at again and again."""

import time
from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from barbeque_py import clock
from barbeque_py.cli.options import Json
from barbeque_py.cli.queues import age
from barbeque_py.cli.screen import print_json, shown
from barbeque_py.cli.session import client_of

if TYPE_CHECKING:
    from rich.console import Group

    from barbeque_py.client import Client

_MOST = 200
_ROWS = 10
_MINUTE, _HOUR = timedelta(minutes=1), timedelta(hours=1)


def top(
    context: typer.Context,
    every: Annotated[
        float, typer.Option(min=0.5, metavar="SECONDS", help="How long a look is shown.")
    ] = 2.0,
    once: Annotated[bool, typer.Option("--once", help="Look once, and end.")] = False,
    as_json: Json = False,
) -> None:
    """Show queues, what runs, how much comes in and ends, and which jobs fail, until Ctrl-C.

    Jobs fail within the last hour; of these and of what runs the newest 200 are looked at.
    """
    client = client_of(context)
    if as_json:
        print_json(look(client))
        return
    from rich.console import Console
    from rich.live import Live

    from barbeque_py.cli.waiting import Patience

    console = Console(highlight=False)
    patience = Patience()
    if once or not console.is_terminal:
        console.print(frame(look(client)))
        return
    with Live(console=console, screen=True, auto_refresh=False) as live:
        while True:
            live.update(frame(patience.call(lambda: look(client))), refresh=True)
            time.sleep(every)


def look(client: "Client") -> dict[str, Any]:
    """Return what one frame shows."""
    now = clock.now()
    running = _list(client, state="running")
    failed = _list(client, state="failed", since=(now - _HOUR).isoformat())
    ended = _list(client, since=(now - _MINUTE).isoformat())
    jobs = Counter(f"{each['app']}/{each['job']}" for each in failed)
    return {
        "at": clock.rfc3339(now),
        "queues": client.queues(),
        "running": running,
        "taken_in_last_minute": len(ended),
        "ended_of_these": sum(each["finished_at"] is not None for each in ended),
        "failing_jobs": [{"job": job, "failed": count} for job, count in jobs.most_common()],
        "most": _MOST,
    }


def _list(client: "Client", **wanted: Any) -> list[dict[str, Any]]:
    return list(client.executions(**wanted, limit=_MOST)["job_executions"])


def frame(facts: Mapping[str, Any]) -> "Group":
    """Return the facts as what a terminal shows."""
    from rich.console import Group
    from rich.text import Text

    now = datetime.fromisoformat(facts["at"])
    head = (
        f"{facts['at'][:10]} {facts['at'][11:19]} UTC   running {_up_to(facts['running'])}   "
        f"taken in within a minute {_count(facts['taken_in_last_minute'])}, "
        f"of these ended {facts['ended_of_these']}"
    )
    queues = _table("queue", "running", "waiting", "messages", "oldest", "dead", "")
    for each in facts["queues"]:
        queues.add_row(
            shown(each["name"]),
            *(shown(each[name]) for name in ("running", "waiting", "messages")),
            age(each["oldest_seconds"]),
            shown(each["dead"]),
            "paused" if each["paused_at"] else "",
        )
    running = _table("running", "job", "attempt", "since")
    for each in facts["running"][:_ROWS]:
        since = (now - datetime.fromisoformat(each["due_at"])).total_seconds()
        job = shown(f"{each['app']}/{each['job']}")
        running.add_row(each["message_id"], job, shown(each["attempts"]), age(max(0.0, since)))
    failing = _table("failing within an hour", "failed")
    for each in facts["failing_jobs"][:_ROWS]:
        failing.add_row(shown(each["job"]), _count(each["failed"]))
    return Group(Text(head, style="bold"), Text(""), queues, running, failing)


def _up_to(found: list[Any]) -> str:
    return _count(len(found))


def _count(number: int) -> str:
    return f"{number}+" if number >= _MOST else str(number)


def _table(*titles: str) -> Any:
    from rich import box
    from rich.table import Table

    return Table(*titles, box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
