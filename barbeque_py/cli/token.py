"""`barbeque token`: who may ask the API for what; in the database itself, so the first one, too."""

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from barbeque_py.cli.exits import Code, Failure
from barbeque_py.cli.inputs import read_length
from barbeque_py.cli.options import Json
from barbeque_py.cli.screen import print_json, print_line, print_table, short_time
from barbeque_py.cli.way_in import in_database, somebody_here

if TYPE_CHECKING:
    from barbeque_py.store.tokens import Token

token = typer.Typer(name="token", no_args_is_help=True)

TokenId = Annotated[str, typer.Argument(metavar="ID", help="As `barbeque token list` shows it.")]


@token.callback()
def tokens() -> None:
    """Make, list, rotate and revoke the tokens that the API asks for with BARBEQUE_AUTH=tokens.

    Works on BARBEQUE_DATABASE itself, so it needs no server and no token.
    """


@token.command("create")
def create(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Whose it is; the audit trail shows it.")],
    app: Annotated[
        str | None, typer.Option(help="The only app it is for. Default: all of them.")
    ] = None,
    scope: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SCOPE",
            help="What it may do: enqueue, read, logs:read, deploy or admin; repeat it for more. "
            "Default: enqueue, read and logs:read.",
        ),
    ] = None,
    expires: Annotated[
        str, typer.Option(metavar="DURATION", help="How long it is good, as in 90d.")
    ] = "365d",
    as_json: Json = False,
) -> None:
    """Make a token, and print it: the only time that anybody can."""
    from barbeque_py.issue import Wish, issue, read_scopes

    scopes = read_scopes(scope or ["enqueue", "read", "logs:read"])
    wish = Wish(name, scopes, app, read_length("--expires", expires))
    made, text = in_database(context, lambda tx: issue(tx, somebody_here(), wish))
    _print_made(made, text, as_json=as_json)


@token.command("list")
def list_tokens(context: typer.Context, as_json: Json = False) -> None:
    """List the tokens, the newest first, without what they are shown as."""
    from barbeque_py.store import tokens as rows

    found, now = in_database(context, lambda tx: (rows.everything(tx), tx.now), writes=False)
    if as_json:
        print_json([_facts(each) | {"live": each.is_live(now)} for each in found])
        return
    if not found:
        print_line("there are no tokens: `barbeque token create NAME` makes one")
        return
    table = [
        (
            each.id,
            each.name,
            each.app or "all",
            " ".join(sorted(each.scopes)),
            "revoked" if each.revoked_at else short_time(each.expires_at.isoformat()),
            short_time(each.last_used_at.isoformat() if each.last_used_at else None),
        )
        for each in found
    ]
    print_table(("id", "name", "app", "scopes", "good until (UTC)", "last used (UTC)"), table)


@token.command("rotate")
def rotate_token(
    context: typer.Context,
    token_id: TokenId,
    overlap: Annotated[
        str, typer.Option(metavar="DURATION", help="How long the old one stays good.")
    ] = "1d",
    as_json: Json = False,
) -> None:
    """Make a token that takes another's place, and print it; both are good for a while."""
    from barbeque_py.issue import LONGEST_OVERLAP, rotate

    length = read_length("--overlap", overlap)
    if not timedelta(0) < length <= LONGEST_OVERLAP:
        raise Failure(f"--overlap: write more than 0, up to {LONGEST_OVERLAP.days}d", Code.USAGE)
    made, text = in_database(
        context, lambda tx: rotate(tx, somebody_here(), token_id, overlap=length)
    )
    _print_made(made, text, as_json=as_json)


@token.command("revoke")
def revoke_token(context: typer.Context, token_id: TokenId, as_json: Json = False) -> None:
    """Make a token good for nothing: every API knows it within ten seconds."""
    from barbeque_py.issue import revoke

    gone = in_database(context, lambda tx: revoke(tx, somebody_here(), token_id))
    if as_json:
        print_json(_facts(gone))
    else:
        print_line(f"token {gone.id} ({gone.name}) is good for nothing")


def _print_made(made: "Token", text: str, *, as_json: bool) -> None:
    if as_json:
        print_json({"token": text} | _facts(made))
    else:
        print_line(text)


def _facts(row: "Token") -> dict[str, Any]:
    from barbeque_py.clock import rfc3339

    instants = ("made_at", "expires_at", "revoked_at", "last_used_at")
    facts: dict[str, Any] = {
        "id": row.id,
        "name": row.name,
        "app": row.app,
        "scopes": sorted(row.scopes),
        "made_by": row.made_by,
        "replaced_by": row.replaced_by,
    }
    for name in instants:
        at = getattr(row, name)
        facts[name] = None if at is None else rfc3339(at)
    return facts
