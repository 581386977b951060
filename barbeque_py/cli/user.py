"""`barbeque user`: who may use the console; in the database itself, so the first one, too."""

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from barbeque_py.cli.exits import Code, Failure
from barbeque_py.cli.options import Json
from barbeque_py.cli.screen import print_json, print_line, print_table, short_time
from barbeque_py.cli.session import session_of
from barbeque_py.cli.way_in import in_database, link_to, somebody_here

if TYPE_CHECKING:
    from barbeque_py.roles import Grants
    from barbeque_py.store import Tx
    from barbeque_py.store.users import User

user = typer.Typer(name="user", no_args_is_help=True)

Email = Annotated[str, typer.Argument(metavar="EMAIL", help="The member's address.")]
Roles = Annotated[
    list[str] | None,
    typer.Option(
        "--role",
        metavar="ROLE",
        help="viewer, logs:read, operator, deployer or admin, to all apps, or to one as in "
        "operator@media; repeat it for more.",
    ),
]


@user.callback()
def users() -> None:
    """Say who may use the console, and as what: with BARBEQUE_LOGIN=users they have a password.

    Works on BARBEQUE_DATABASE itself, so it needs no server and no token.
    """


@user.command("add")
def add_user(
    context: typer.Context,
    email: Email,
    role: Roles = None,
    name: Annotated[str, typer.Option(help="What people call them.")] = "",
    password: Annotated[
        bool, typer.Option("--password", help="Ask for a password; from standard input in a pipe.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Make somebody a member, and print a link by which they come in, once, within a day.

    There they choose a password. Without --role they are a viewer of all apps.
    """
    from barbeque_py import members

    grants = _read_roles(role or ["viewer"])
    text = _read_password() if password else None

    def add(tx: "Tx") -> "tuple[User, str | None]":
        made = members.add(tx, somebody_here(), email, grants, name=name)
        if text is None:
            return made, members.invite(tx, somebody_here(), made.id)
        kept = members.fit_password(made, text)
        return members.set_password(tx, somebody_here(), made.id, kept), None

    made, key = in_database(context, add)
    link = None if key is None else link_to(_console(context), key)
    if as_json:
        print_json(_facts(made) | {"link": link})
    else:
        print_line(link or f"{made.email} may log in")


@user.command("list")
def list_users(context: typer.Context, as_json: Json = False) -> None:
    """List the members, by their addresses."""
    from barbeque_py.store import users as rows

    found = in_database(context, rows.everybody, writes=False)
    if as_json:
        print_json([_facts(each) for each in found])
        return
    if not found:
        print_line("there are no members: `barbeque user add EMAIL` makes one")
        return
    table = [
        (
            each.email,
            each.name,
            " ".join(_facts(each)["roles"]) or "none of their own",
            "disabled" if each.disabled_at else "yes",
            short_time(each.last_login_at.isoformat() if each.last_login_at else None),
        )
        for each in found
    ]
    print_table(("email", "name", "roles", "may log in", "last login (UTC)"), table)


@user.command("roles")
def set_user_roles(
    context: typer.Context, email: Email, role: Roles = None, as_json: Json = False
) -> None:
    """Give a member these roles and no others; it holds from their next click on."""
    from barbeque_py import members

    grants = _read_roles(role or [])
    changed = in_database(
        context,
        lambda tx: members.set_roles(tx, somebody_here(), members.find(tx, email).id, grants),
    )
    _print_changed(changed, f"is {' '.join(_facts(changed)['roles']) or 'nothing'}", as_json)


@user.command("disable")
def disable_user(
    context: typer.Context,
    email: Email,
    enable: Annotated[bool, typer.Option("--enable", help="Let them in again.")] = False,
    as_json: Json = False,
) -> None:
    """Keep a member out: every session of theirs ends at once."""
    from barbeque_py import members

    changed = in_database(
        context,
        lambda tx: members.set_disabled(
            tx, somebody_here(), members.find(tx, email).id, disabled=not enable
        ),
    )
    _print_changed(changed, "may log in" if enable else "is kept out", as_json)


@user.command("password")
def set_user_password(context: typer.Context, email: Email, as_json: Json = False) -> None:
    """Give a member another password, asked for or from standard input; their sessions end."""
    from barbeque_py import members

    text = _read_password()

    def change(tx: "Tx") -> "User":
        found = members.find(tx, email)
        kept = members.fit_password(found, text)
        return members.set_password(tx, somebody_here(), found.id, kept)

    _print_changed(in_database(context, change), "has another password", as_json)


@user.command("link")
def make_link(
    context: typer.Context,
    email: Annotated[
        str | None,
        typer.Argument(metavar="EMAIL", help="A member. Default: whoever is at this machine."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Print a link that lets somebody into the console, once.

    A member's is good for a day and lets them choose a password. Without EMAIL it is for whoever
    is at this machine, as an admin, and good for fifteen minutes.
    """
    from barbeque_py import members

    def make(tx: "Tx") -> str:
        if email is None:
            return members.let_in(tx, somebody_here())
        return members.invite(tx, somebody_here(), members.find(tx, email).id)

    link = link_to(_console(context), in_database(context, make))
    if as_json:
        print_json({"link": link})
    else:
        print_line(link)


def _read_roles(words: list[str]) -> "Grants":
    from barbeque_py.roles import read_grants

    try:
        return read_grants(words)
    except ValueError as error:
        raise Failure(f"--role: {error}", Code.USAGE) from None


def _read_password() -> str:
    if sys.stdin.isatty():
        return str(typer.prompt("password", hide_input=True, confirmation_prompt=True))
    return sys.stdin.readline().rstrip("\r\n")


def _console(context: typer.Context) -> str:
    """Return where the console is: as people reach it, else as this machine does."""
    settings = session_of(context).settings()
    return settings.host_url or settings.url


def _print_changed(changed: "User", what: str, as_json: bool) -> None:
    if as_json:
        print_json(_facts(changed))
    else:
        print_line(f"{changed.email} {what}")


def _facts(row: "User") -> dict[str, Any]:
    from barbeque_py.clock import rfc3339
    from barbeque_py.members import facts

    instants = {"made_at": row.made_at, "last_login_at": row.last_login_at}
    told = {name: None if at is None else rfc3339(at) for name, at in instants.items()}
    return facts(row) | {"made_by": row.made_by} | told
