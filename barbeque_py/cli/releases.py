"""`barbeque release | rollback | releases`: which image an app's jobs run."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from barbeque_py.cli.exits import Code
from barbeque_py.cli.inputs import read_length, read_share
from barbeque_py.cli.options import Json
from barbeque_py.cli.screen import print_json, print_line, print_table, short_time, shown
from barbeque_py.cli.session import client_of

App = Annotated[str, typer.Argument(metavar="APP", help="The app's name.")]
Note = Annotated[
    str | None, typer.Option(metavar="TEXT", help="A sentence for those who read the history.")
]


def release(
    context: typer.Context,
    app: App,
    image: Annotated[str, typer.Argument(metavar="IMAGE", help="The image, as in media:v7.")],
    *,
    note: Note = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="Follow its first executions; 1 if it does worse.")
    ] = False,
    auto_rollback: Annotated[
        str | None,
        typer.Option(
            metavar="SHARE",
            help="Watch, and go back if more than this share of them fail, as 0.2 or 20%.",
        ),
    ] = None,
    executions: Annotated[
        int, typer.Option(min=1, max=10_000, help="How many executions are watched.")
    ] = 20,
    within: Annotated[
        str, typer.Option("--for", metavar="DURATION", help="How long they are waited for.")
    ] = "10m",
    as_json: Json = False,
) -> None:
    """Run this image from the next execution on, as a new revision of the app.

    Executions that have begun go on with the image they began with. A tag means what it means now:
    the server asks the image's registry where it can, else the first worker finds out.

    A watched release ends with 1 if it fails more often than the revision before, beyond chance, or
    was rolled back. Nothing is said of fewer than five executions (or --executions): that is 0.
    """
    from barbeque_py.cli import release_watch

    allowed = None if auto_rollback is None else read_share("--auto-rollback", auto_rollback)
    terms = release_watch.Terms(executions, read_length("--for", within), allowed)
    client = client_of(context)
    newest = client.revisions(app, limit=1)["revisions"]
    made = client.release(app, image, note=note)
    if not as_json:
        print_line(_sentence(made))
    if not watch and allowed is None:
        if as_json:
            print_json(made)
        return
    before = next((each["number"] for each in newest if each["number"] != made["number"]), None)
    seen = release_watch.watch(client, made, before, terms)
    if as_json:
        print_json({"revision": made} | seen.facts())
    else:
        print_line(seen.sentence)
        if seen.rollback is not None:
            print_line(_sentence(seen.rollback))
    if seen.is_bad:
        raise typer.Exit(Code.FAILED)


def rollback(
    context: typer.Context,
    app: App,
    *,
    to: Annotated[
        int | None,
        typer.Option(min=1, metavar="NUMBER", help="The revision; the one before unless given."),
    ] = None,
    note: Note = None,
    as_json: Json = False,
) -> None:
    """Bring back the image that the app ran before, as a new revision.

    Of a revision that was brought back itself, the one before is the one before its original.
    """
    made = client_of(context).roll_back(app, to=to, note=note)
    if as_json:
        print_json(made)
    else:
        print_line(_sentence(made))


def releases(
    context: typer.Context,
    app: App,
    *,
    limit: Annotated[int, typer.Option(min=1, max=200, help="How many at most.")] = 20,
    before: Annotated[
        int | None, typer.Option(help="Go on below this number, the page before's `next`.")
    ] = None,
    as_json: Json = False,
) -> None:
    """List an app's revisions, the newest first: what it ran, since when, and who released it."""
    answer = client_of(context).revisions(app, limit=limit, before=before)
    if as_json:
        print_json(answer)
        return
    titles = ("revision", "image", "digest", "released (UTC)", "by", "note")
    print_table(titles, map(_row, answer["revisions"]))
    if answer["next"] is not None:
        print_line(f"there are more: --before {answer['next']}")


def _row(revision: Mapping[str, Any]) -> tuple[object, ...]:
    origin = revision["rollback_of"]
    notes = ["current"] if revision["current"] else []
    notes += [f"brings back {origin}"] if origin is not None else []
    return (
        revision["number"],
        revision["image"],
        _short(revision["pinned"]),
        short_time(revision["made_at"]),
        revision["made_by"],
        "; ".join([*notes, *filter(None, [revision["note"]])]),
    )


def _sentence(made: Mapping[str, Any]) -> str:
    origin = made["rollback_of"]
    again = "" if origin is None else f", which brings back revision {origin}"
    pinned = _short(made["pinned"]) or "its digest is found out by the first worker that runs it"
    image = shown(made["image"])
    return f"{shown(made['app'])} is at revision {made['number']}{again}: {image} ({pinned})"


def _short(pinned: str | None) -> str | None:
    """Return the digest as people tell them apart."""
    if pinned is None:
        return None
    digest = pinned.rpartition("@")[2]
    return digest[: len("sha256:") + 12]
