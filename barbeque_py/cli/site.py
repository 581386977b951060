"""What one port serves: the API, and under `up` the console at every other address."""

from importlib import import_module
from importlib.util import find_spec
from typing import Any

from barbeque_api.app import Served, create_app
from barbeque_py.wiring import Front

LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})

CONSOLE = "barbeque_console.app"
HAS_CONSOLE = find_spec(CONSOLE) is not None


def build_site(front: Front, *, host: str, console: bool) -> Any:
    """Return the app to serve on that loopback address; it answers to loopback's names only."""
    settings = front.settings
    served = Served(
        store=front.store,
        broker=front.broker,
        logs=front.logs,
        bell=front.bell,
        home=settings.home,
        default_queue=settings.default_queue,
        verify_enqueued_jobs=settings.verify_enqueued_jobs,
        host_url=settings.host_url,
        max_body=settings.max_body,
        allowed_hosts=LOCAL_NAMES | {host.strip("[]")},
    )
    pages = import_module(CONSOLE).create_app(front) if console and HAS_CONSOLE else None
    return create_app(served, pages=pages)
