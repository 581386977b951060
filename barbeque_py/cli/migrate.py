"""`barbeque migrate`: makes the database's tables and brings them up to date."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from barbeque_py.cli.folders import make_folder
from barbeque_py.cli.options import Json
from barbeque_py.cli.screen import print_json, print_line
from barbeque_py.cli.session import session_of

if TYPE_CHECKING:
    from barbeque_py.settings import Settings
    from barbeque_py.store import Store


def migrate(context: typer.Context, as_json: Json = False) -> None:
    """Make the database's tables, or bring them up to date.

    Safe to repeat, and when several machines do it at once. The first time it also names the
    installation: BARBEQUE_INSTALLATION, or six characters made up. `barbeque up` does it by itself.
    """
    from barbeque_py.store.revision import newest_revision

    store, installation = make_tables(session_of(context).settings())
    store.close()
    revision = newest_revision()
    if as_json:
        print_json({"database": store.shown_url, "installation": installation, "schema": revision})
    else:
        print_line(f"{store.shown_url} has schema {revision}; the installation is {installation}")


def make_tables(settings: "Settings") -> "tuple[Store, str]":
    """Return the database with its tables, and the installation's name."""
    from barbeque_py.store import Store, schema

    store = Store(settings.database, create=True)
    try:
        if store.sqlite:
            make_folder(Path(store.url.database or "").parent, "The folder of BARBEQUE_DATABASE")
        return store, schema.migrate(store, name=settings.installation)
    except BaseException:
        store.close()
        raise
