"""`barbeque up`: everything in one command."""

from typing import TYPE_CHECKING

import typer

from barbeque_py.cli.folders import make_folder
from barbeque_py.cli.options import Host, Port
from barbeque_py.cli.screen import print_line
from barbeque_py.cli.session import Session, session_of

if TYPE_CHECKING:
    import socket

    from barbeque_py.settings import Settings


def up(context: typer.Context, host: Host = "127.0.0.1", port: Port = 3003) -> None:
    """Start everything and stay: API, console and a worker, on this machine.

    Makes the database, or brings it up to date, by itself. The first time it also chooses where
    jobs run: in Docker if an engine answers, else as plain processes. BARBEQUE_EXECUTOR changes it.

    Prints a link that lets you into the console, once; `barbeque user link` makes another.

    Ctrl-C ends it within ten seconds. Jobs that run go on, and the next start takes them up.
    """
    from barbeque_py.cli.observing import observe
    from barbeque_py.cli.serving import listen, listen_for_jobs, why_unguarded

    session = session_of(context)
    settings = session.settings()
    observe(settings, "api", requests=False)
    with (
        listen(host, port, unguarded=why_unguarded(settings, api=True, console=True)) as listening,
        listen_for_jobs(settings.job_listen) as asking,
    ):
        where = prepare(settings)
        _stay(session, settings, listening, asking, where=where)
    print_line("barbeque has stopped. Jobs that run go on; the next start takes them up.")


def _stay(
    session: Session,
    settings: "Settings",
    listening: "socket.socket",
    asking: "socket.socket | None",
    *,
    where: str,
) -> None:
    from barbeque_py.cli.child import Child
    from barbeque_py.cli.serving import make_server, serve, url_of
    from barbeque_py.cli.site import build_both, build_job_routes
    from barbeque_py.cli.way_in import print_way_in
    from barbeque_py.environment import inherited
    from barbeque_py.wiring.front import open_front

    front = open_front(settings)
    url = url_of(listening)
    # Where backends answer, unless BARBEQUE_JOB_URL says it.
    answers = {"BARBEQUE_URL": url if asking is None else url_of(asking)}
    worker = Child(_worker_arguments(session), environment=inherited() | answers)
    try:
        app = build_both(front, host=listening.getsockname()[0], url=url)
        server = make_server(app, settings.proxies)
        worker.start()
        print_line(f"barbeque is up at {url}")
        print_line(f"  home      {settings.home}")
        print_line(f"  database  {front.store.shown_url}")
        print_line(f"  jobs run  {where}")
        if asking is not None:
            server.serve_beside(build_job_routes(front), asking)
            print_line(f"  jobs ask  for their messages at {url_of(asking)}")
        print_way_in(front, url)
        serve(server, listening, at_end=worker.ask_to_end)
    finally:
        worker.stop()
        front.close()


def prepare(settings: "Settings") -> str:
    """Make home and database where they are missing; return a sentence about where jobs run."""
    from barbeque_py.cli.migrate import make_tables
    from barbeque_py.wiring.executors import settle_executor

    make_folder(settings.home, "BARBEQUE_HOME")
    store, _ = make_tables(settings)
    try:
        return settle_executor(store, settings)[1]
    finally:
        store.close()


def _worker_arguments(session: Session) -> list[str]:
    before = [] if session.env_file is None else ["--env-file", str(session.env_file)]
    return [*before, "worker", "--end-with-input"]
