"""`barbeque stats` and `barbeque failures`: how jobs fared, and what failed alike."""

from typing import Annotated, Any

import typer

from barbeque_py.cli.options import Json
from barbeque_py.cli.screen import print_json, print_line, print_table, short_time
from barbeque_py.cli.session import client_of

_COUNTS = ("succeeded", "failed", "not_started", "cancelled", "retried")


def stats(
    context: typer.Context,
    *,
    app: Annotated[str | None, typer.Option(help="Only this app.")] = None,
    job: Annotated[str | None, typer.Option(help="Only this job of the app.")] = None,
    back: Annotated[
        str, typer.Option("--range", help="How far back: 24h, 7d, 30d or 90d.")
    ] = "24h",
    as_json: Json = False,
) -> None:
    """Show how jobs fared, by the hour or by the day."""
    found = client_of(context).stats(app=app, job=job, range=back)
    if as_json:
        print_json(found)
        return
    rows = [_row(short_time(each["at"]), each) for each in found["points"]]
    print_table(
        ("from (UTC)", *(name.replace("_", " ") for name in _COUNTS), "wait p95", "run p95"),
        [*rows, _row("total", found["total"])],
    )


def _row(name: str, facts: dict[str, Any]) -> tuple[Any, ...]:
    spans = [facts[kind]["p95"] for kind in ("wait_seconds", "run_seconds")]
    shown = ["" if each is None else f"{each:g} s" for each in spans]
    return (name, *(facts[each] for each in _COUNTS), *shown)


def failures(
    context: typer.Context,
    *,
    app: Annotated[str | None, typer.Option(help="Only of this app.")] = None,
    job: Annotated[str | None, typer.Option(help="Only of this job.")] = None,
    state: Annotated[
        str | None, typer.Option(help="Only those: new, ack, resolved or regressed.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=200, help="How many at most.")] = 50,
    as_json: Json = False,
) -> None:
    """List what failed, all that is the same as one, what came last first."""
    answer = client_of(context).failures(app=app, job=job, state=state, limit=limit)
    if as_json:
        print_json(answer)
        return
    if not answer["failures"]:
        print_line("nothing has failed")
        return
    rows = [
        (
            each["id"],
            short_time(each["last_at"]),
            f"{each['app']}/{each['job']}",
            each["times"],
            each["state"],
            each["line"] or each["reason"],
        )
        for each in answer["failures"]
    ]
    print_table(("id", "last (UTC)", "job", "times", "state", "said"), rows)
