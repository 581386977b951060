"""What one port serves: API, console, or both, where pages are what is not the API's; or jobs."""

from dataclasses import replace
from typing import Any

from barbeque_api.app import create_app as create_api
from barbeque_api.job_routes import create_job_app
from barbeque_api.parts import Served
from barbeque_py.entrance import entrance_of
from barbeque_py.settings import Settings
from barbeque_py.wiring.front import Front

_LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
"""Other names of this machine are refused: a page elsewhere could make one up (DNS rebinding)."""


def build_both(front: Front, *, host: str, url: str) -> Any:
    """Return API and console as one app, to be served on that loopback address."""
    pages = build_console(front, host=host, with_api=True)
    served = _served(front, host, front.settings.host_url or url)
    if front.settings.auth:
        served = replace(served, allowed_hosts=None)  # as below; the console looks for itself
    return create_api(served, pages=pages, for_jobs=front.settings.job_listen is None)


def build_api(front: Front, *, host: str) -> Any:
    """Return the API alone."""
    served = _served(front, host, front.settings.host_url)
    if front.settings.auth:
        # Who makes up a name for us (DNS rebinding) has no token, and is told nothing.
        served = replace(served, allowed_hosts=None)
    return create_api(served, for_jobs=front.settings.job_listen is None)


def build_job_routes(front: Front) -> Any:
    """Return what jobs ask alone, to be served at BARBEQUE_JOB_LISTEN."""
    return create_job_app(_served(front, "", front.settings.host_url))


def build_console(front: Front, *, host: str, with_api: bool = False) -> Any:
    """Return the console alone."""
    from barbeque_console.app import create_app as create_console
    from barbeque_console.parts import Shown

    return create_console(
        Shown(
            store=front.store,
            broker=front.broker,
            logs=front.logs,
            bell=front.bell,
            watching=front.watching,
            queues=front.queues,
            topics=front.topics,
            sources=front.sources,
            entrance=entrance_of(front.settings),
            with_api=with_api,
            read_only=front.settings.read_only,
            logs_url=front.settings.logs.url,
            keep_logs=front.settings.retention,
            host_url=front.settings.host_url,
            allowed_hosts=_hosts_of_console(front.settings, host),
            environment=front.settings.environment,
        )
    )


def _hosts_of_console(settings: Settings, host: str) -> frozenset[str] | None:
    """Return the names it answers to: any, where a name made up for us opens nothing."""
    if entrance_of(settings).guards_strangers:
        return None
    return _LOCAL_NAMES | {host}


def _served(front: Front, host: str, host_url: str | None) -> Served:
    settings = front.settings
    return Served(
        store=front.store,
        broker=front.broker,
        logs=front.logs,
        bell=front.bell,
        queues=front.queues,
        topics=front.topics,
        watching=front.watching,
        sources=front.sources,
        home=settings.home,
        default_queue=settings.default_queue,
        verify_enqueued_jobs=settings.verify_enqueued_jobs,
        host_url=host_url,
        max_body=settings.max_body,
        ask_for_tokens=settings.auth,
        rate_limit=settings.rate_limit,
        allowed_hosts=_LOCAL_NAMES | {host},
    )
