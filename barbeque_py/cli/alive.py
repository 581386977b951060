"""`barbeque alive`: what a container's health check asks."""

import socket
from typing import TYPE_CHECKING

import typer

from barbeque_py.cli.exits import Failure
from barbeque_py.cli.options import Json, Port
from barbeque_py.cli.screen import print_json, print_line
from barbeque_py.cli.session import session_of

if TYPE_CHECKING:
    from barbeque_py.settings import Settings

_PATIENCE = 8.0
"""Seconds to wait for an answer: longer than a busy process takes."""
_BROKEN = 500


def alive(context: typer.Context, port: Port = 3003, as_json: Json = False) -> None:
    """Say whether what runs in this container is alive; the image's health check.

    An API or a console is alive when it answers on this port. Where nothing listens there, it is a
    worker, alive while the database has seen it within a minute, or while there is no database to
    see it: another start would not help then.

    Ends with 1 when it is not alive.
    """
    found = _answer(port) or _worker(session_of(context).settings())
    if as_json:
        print_json({"alive": found})
    else:
        print_line(found)


def _answer(port: int) -> str:
    """Return what answers on the port; nothing where nobody listens. Raises `Failure`."""
    from http.client import HTTPConnection, HTTPException

    connection = HTTPConnection("127.0.0.1", port, timeout=_PATIENCE)
    try:
        connection.request("GET", "/livez")
        status = connection.getresponse().status
    except ConnectionRefusedError:
        return ""
    except (OSError, HTTPException) as error:
        raise Failure(f"port {port} gives no answer ({error})") from None
    finally:
        connection.close()
    if status >= _BROKEN:
        raise Failure(f"port {port} answers {status}")
    return f"port {port} answers"


def _worker(settings: "Settings") -> str:
    from barbeque_py.errors import StoreUnavailable
    from barbeque_py.store import Store, workers

    store = Store(settings.database)
    try:
        seen = store.read(workers.alive)
    except StoreUnavailable as error:
        return f"a worker waits: {error}"
    finally:
        store.close()
    here = f"{socket.gethostname()[:20]}."
    if not any(each.id.startswith(here) for each in seen):
        raise Failure("nothing answers, and the database has seen no worker of this host lately")
    return "a worker was seen"
