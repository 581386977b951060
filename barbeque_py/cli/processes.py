"""`barbeque worker | api | console`: the processes of an installation, one by one."""

import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from barbeque_py.cli.options import ApiHost, Host, Port
from barbeque_py.cli.screen import print_line
from barbeque_py.cli.session import session_of

if TYPE_CHECKING:
    from barbeque_py.settings import Settings
    from barbeque_py.wiring.parts import Parts

Queues = Annotated[
    list[str] | None,
    typer.Option(
        "--queue",
        metavar="NAME",
        help="Take from this queue only; repeat it for more. Default: BARBEQUE_QUEUE, else all.",
    ),
]
EndWithInput = Annotated[
    bool, typer.Option("--end-with-input", hidden=True, help="End when standard input ends.")
]


def worker(
    context: typer.Context, queue: Queues = None, end_with_input: EndWithInput = False
) -> None:
    """Run jobs, and stay: takes in messages, starts attempts, watches them, keeps their logs.

    Any number of workers may run at once, on any number of machines. SIGTERM or Ctrl-C ends one
    within ten seconds; what it started goes on and is adopted by another worker, or by the next.

    With BARBEQUE_WORKER_LISTEN it answers /metrics, /livez and /readyz there.

    Waits for a Docker engine and a database server that are away; does not make the database
    (`barbeque migrate` does).
    """
    from barbeque_py.cli.observing import observe
    from barbeque_worker.main import run
    from barbeque_worker.vitals import Vitals, watched_at

    settings = session_of(context).settings()
    named = queue or ([settings.worker_queue] if settings.worker_queue else [])
    observe(settings, "worker")
    vitals, stop = Vitals(), _end_of_input() if end_with_input else None
    with watched_at(settings.worker_listen, vitals):
        parts = _open_patiently(settings)
        try:
            run(parts, queues=named, stop=stop, vitals=vitals)
        finally:
            parts.close()


def _open_patiently(settings: "Settings") -> "Parts":
    """Open the parts, as soon as the database can be used."""
    from barbeque_py.errors import StoreUnavailable
    from barbeque_py.wiring.front import may_come_back
    from barbeque_py.wiring.parts import open_parts

    pause = 1.0
    while True:
        try:
            return open_parts(settings)
        except StoreUnavailable as error:
            if not may_come_back(settings):
                raise
            logging.getLogger("barbeque.worker").warning("waiting: %s", error)
        time.sleep(pause)
        pause = min(pause * 2, 10.0)


def _end_of_input() -> threading.Event:
    """Return an event that is set once nobody holds the other end of standard input any more."""
    ended = threading.Event()
    source = sys.stdin.fileno()

    def wait() -> None:
        while os.read(source, 1024):
            pass
        ended.set()

    threading.Thread(target=wait, name="input", daemon=True).start()
    return ended


def api(context: typer.Context, host: ApiHost = "127.0.0.1", port: Port = 3003) -> None:
    """Serve the HTTP API, and stay.

    While a database server is away it answers 503, and with `sqs:` goes on to enqueue.

    With BARBEQUE_AUTH=tokens it may listen on any address; without, on loopback only.

    Does not make the database (`barbeque migrate` does). SIGTERM or Ctrl-C ends it. Where a load
    balancer has asked /readyz within a minute, SIGTERM makes that 503 first, and requests are
    answered for 5 more seconds.
    """
    from barbeque_py.cli.site import build_api

    _serve_alone(context, "api", build_api, host=host, port=port)


def console(context: typer.Context, host: Host = "127.0.0.1", port: Port = 3003) -> None:
    """Serve the web console, and stay.

    Asks who comes, as BARBEQUE_LOGIN says; on loopback it prints a link that lets you in, once.
    It may listen on any address where people log in with a password or others vouch for them.

    Does not make the database (`barbeque migrate` does). SIGTERM or Ctrl-C ends it.
    """
    from barbeque_py.cli.site import build_console

    _serve_alone(context, "console", build_console, host=host, port=port)


def _serve_alone(
    context: typer.Context,
    name: str,
    build: Callable[..., Any],
    *,
    host: str,
    port: int,
) -> None:
    from barbeque_py.cli.observing import observe
    from barbeque_py.cli.serving import (
        listen,
        listen_for_jobs,
        make_server,
        serve,
        url_of,
        why_unguarded,
    )
    from barbeque_py.cli.site import build_job_routes
    from barbeque_py.cli.way_in import print_way_in
    from barbeque_py.wiring.front import open_front

    settings = session_of(context).settings()
    observe(settings, name)
    is_api = name == "api"
    unguarded = why_unguarded(settings, api=is_api, console=not is_api)
    with (
        listen(host, port, unguarded=unguarded) as listening,
        listen_for_jobs(settings.job_listen if is_api else None) as asking,
    ):
        front = open_front(settings, patient=True)
        try:
            app = build(front, host=listening.getsockname()[0])
            server = make_server(app, settings.proxies)
            server.announces = True
            print_line(f"barbeque {name} listens at {url_of(listening)}")
            if not is_api:
                print_way_in(front, url_of(listening))
            if asking is not None:
                server.serve_beside(build_job_routes(front), asking)
                print_line(f"jobs ask for their messages at {url_of(asking)}")
            serve(server, listening)
        finally:
            front.close()
