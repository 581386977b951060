"""Who types here, what they do to the database itself, and how they come into the console."""

import os
import pwd
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlencode

import typer

from barbeque_py.cli.screen import print_line
from barbeque_py.cli.session import session_of

if TYPE_CHECKING:
    from barbeque_py.identity import Identity
    from barbeque_py.store import Tx
    from barbeque_py.wiring.front import Front


T = TypeVar("T")


def in_database(context: typer.Context, work: "Callable[[Tx], T]", *, writes: bool = True) -> T:
    """Do the work in one transaction of BARBEQUE_DATABASE; needs no server and no token."""
    from barbeque_py.store import Store
    from barbeque_py.store.revision import check_schema

    store = Store(session_of(context).settings().database)
    try:
        check_schema(store)
        return store.write(work) if writes else store.read(work)
    finally:
        store.close()


def somebody_here() -> "Identity":
    """Return who types this: the user of this machine, which is all that is known."""
    from barbeque_py.identity import Identity, Scope

    try:
        user = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        user = str(os.getuid())
    return Identity(f"{user} at the command line", frozenset(Scope), origin=socket.gethostname())


def link_to(url: str, key: str) -> str:
    """Return the address that lets in who has this key."""
    return f"{url.rstrip('/')}/login/link?{urlencode({'key': key})}"


def print_way_in(front: "Front", url: str) -> None:
    """Print a link that lets somebody in, where links do; else what has still to be done."""
    from barbeque_py.entrance import LINK, USERS, entrance_of
    from barbeque_py.errors import StoreUnavailable
    from barbeque_py.members import HERE_FOR, let_in
    from barbeque_py.store import users

    ways = entrance_of(front.settings).ways
    minutes = int(HERE_FOR.total_seconds() // 60)
    try:
        if LINK in ways:
            key = front.store.write(lambda tx: let_in(tx, somebody_here()))
            print_line(f"  log in    {link_to(url, key)} (once, within {minutes} min)")
        elif ways == {USERS} and not front.store.read(users.count):
            print_line("  log in    nobody can yet: `barbeque user add EMAIL --role admin`")
    except StoreUnavailable:
        print_line("  log in    by `barbeque user link`, once the database answers")
