"""`barbeque check`: every setting and connection, with the cure for what is wrong."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from barbeque_py.cli.exits import Code
from barbeque_py.cli.options import Json
from barbeque_py.cli.screen import print_finding, print_json, print_line, print_table
from barbeque_py.cli.session import session_of

if TYPE_CHECKING:
    from barbeque_py.settings import Settings


def check(
    context: typer.Context,
    forget_place: Annotated[
        str | None,
        typer.Option(
            metavar="PLACE",
            help="Settle the attempts at a place that is gone for good as vanished.",
        ),
    ] = None,
    tell: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ADDRESS",
            help="Send a test to this email address or Slack channel; repeat it for more.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Look at every setting and connection, and say what is wrong and how to mend it.

    Ends with 1 when something is at fault; warnings and notes don't count. Changes nothing, but for
    --forget-place: attempts at a place that no worker speaks to are never given up by themselves,
    because they may still run there. Say it only of a machine that will not come back.

    In AWS each permission is tried where a try changes nothing, else asked of IAM's simulation
    where the role may; docs/check.md lists what is looked at.
    """
    settings = session_of(context).settings()
    if forget_place is not None:
        _forget(settings, forget_place, as_json=as_json)
        return
    from barbeque_py.cli.finding import FAULT
    from barbeque_py.cli.findings import examine

    findings = []
    if not as_json:
        _print_settings(settings)
    for each in examine(settings, looking=tell_part, tell=tell or ()):
        findings.append(each)
        tell_part("")
        if not as_json:
            print_finding(each.level, each.subject, each.sentence)
    tell_part("")
    if as_json:
        from barbeque_py.settings_page import describe

        shown = {row.variable: row.value for row in describe(settings)}
        print_json({"settings": shown, "findings": [each.facts() for each in findings]})
    if any(each.level == FAULT for each in findings):
        raise typer.Exit(Code.FAILED)


def _print_settings(settings: "Settings") -> None:
    from barbeque_py.settings_page import describe

    rows = [
        (row.variable, row.value or "not set", "" if row.value else row.default)
        for row in describe(settings)
    ]
    print_table(("setting", "value", "default"), rows)
    print_line("")


def tell_part(part: str) -> None:
    """Say on a terminal what is being looked at, in place of what was said before."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{f'looking at {part} ...' if part else ''}")
        sys.stderr.flush()


def _forget(settings: "Settings", place: str, *, as_json: bool) -> None:
    from barbeque_py.cli.places import forget
    from barbeque_py.wiring.front import open_front

    front = open_front(settings)
    try:
        forgotten = forget(front, place)
    finally:
        front.close()
    if as_json:
        print_json({"place": place, "vanished": forgotten})
    else:
        print_line(f"{len(forgotten)} attempts at {place} are settled as vanished")
