"""`barbeque import-barbeque`: takes over what a Barbeque database holds."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from barbeque_py.cli.exits import Code, Failure
from barbeque_py.cli.options import Json
from barbeque_py.cli.screen import print_json, print_line, shown
from barbeque_py.cli.session import session_of

if TYPE_CHECKING:
    from barbeque_py.move_in import Report, Tally, Terms
    from barbeque_py.settings import Settings


def import_barbeque(
    context: typer.Context,
    url: Annotated[
        str,
        typer.Argument(
            metavar="URL",
            help="Its database, as in mysql://USER:PASSWORD@HOST/barbeque; - reads the URL from "
            "standard input, where no list of processes shows the password.",
        ),
    ],
    *,
    stopped: Annotated[
        bool,
        typer.Option(
            "--stopped", help="Barbeque runs no more: take what is open there over, as failed."
        ),
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count.")] = False,
    as_json: Json = False,
) -> None:
    """Take over the apps, jobs, queues, SNS subscriptions and history of a Barbeque database.

    What is here already stays as it is, so the command can be repeated, or go on after it was
    stopped; what is still open in Barbeque is taken over once it has ended. The source is read in
    sessions that can only read. Logs and messages stay in S3 where they are.
    """
    from barbeque_py.move_in import move_in
    from barbeque_py.store import Store
    from barbeque_py.store.former import FormerDatabase
    from barbeque_py.store.revision import check_schema

    settings = session_of(context).settings()
    source = FormerDatabase(_read_url(url))
    context.call_on_close(source.close)
    store: Store = Store(settings.database)
    context.call_on_close(store.close)
    check_schema(store)
    report = move_in(source, store, _terms(settings, stopped=stopped, dry_run=dry_run), _tell)
    if as_json:
        print_json(report.facts())
    else:
        _print(report, dry_run=dry_run)


def _read_url(given: str) -> str:
    from barbeque_py.setting_urls import read_database

    text = sys.stdin.readline().strip() if given == "-" else given
    try:
        url = read_database(text)
    except ValueError as error:
        raise Failure(f"URL: {error}", Code.USAGE) from None
    if not url.startswith("mysql"):
        raise Failure(
            "URL: a Barbeque database is on MySQL: mysql://USER:PASSWORD@HOST/NAME", Code.USAGE
        )
    return url


def _terms(settings: "Settings", *, stopped: bool, dry_run: bool) -> "Terms":
    from barbeque_py.identity import Identity, Scope
    from barbeque_py.move_in import Terms

    return Terms(
        Identity("barbeque import-barbeque", frozenset(Scope)),
        settings.retention,
        settings.docker_registry,
        settings.default_queue,
        hears_topics=settings.broker.kind == "sqs",
        stopped=stopped,
        dry_run=dry_run,
    )


def _tell(history: "Tally") -> None:
    """Show how far it is, where somebody looks on."""
    if sys.stderr.isatty():
        done = history.imported + history.there + history.skipped.total()
        sys.stderr.write(f"\r{done} executions looked at")
        sys.stderr.flush()


def _print(report: "Report", *, dry_run: bool) -> None:
    if sys.stderr.isatty():
        sys.stderr.write("\n")
    verb = "would be imported" if dry_run else "imported"
    for kind, tally in report.kinds.items():
        there = f", {tally.there} there already" if tally.there else ""
        print_line(f"{kind:13} {tally.imported} {verb}{there}")
        for reason, count in tally.skipped.items():
            print_line(f"{'':13} {count} left out: {reason}")
    for each in report.unfit:
        print_line(f"left out: {shown(each)}")
    if dry_run:
        print_line("nothing was changed: it was a dry run")
