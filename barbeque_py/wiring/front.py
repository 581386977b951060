"""What a process works with that starts no containers: the API, the console."""

import logging
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

from barbeque_py.broker import Broker, Queues
from barbeque_py.errors import ConfigurationError, StoreUnavailable
from barbeque_py.logstore import LogStore
from barbeque_py.release import Sources
from barbeque_py.settings import Settings
from barbeque_py.store import Store, apps
from barbeque_py.store.revision import check_schema
from barbeque_py.subscriptions import Topics
from barbeque_py.wake import Bell
from barbeque_py.watched import Watching
from barbeque_py.wiring.brokers import open_broker, open_queues
from barbeque_py.wiring.logs import TaskLogs, open_logs
from barbeque_py.wiring.opened import kept
from barbeque_py.wiring.sources import open_sources

log = logging.getLogger("barbeque.wiring")


@dataclass(frozen=True, slots=True, kw_only=True)
class Front:
    """What a process works with that starts no containers: the API, the console."""

    settings: Settings
    store: Store
    broker: Broker
    logs: LogStore
    bell: Bell
    queues: Queues | None = None
    """Makes queues; None where the database carries messages and needs none."""
    topics: Topics | None = None
    """Lets queues hear SNS; None where messages don't come by SQS."""
    sources: Sources
    """Where images may come from; asks no registry until it must."""
    watching: Watching
    """Shows logs that nobody ships while their tasks run; asks for nothing until it is read."""
    closers: tuple[Callable[[], None], ...] = ()

    @property
    def installation(self) -> str:
        """What the database says the installation is called."""
        return self.store.read(apps.installation_name)

    def close(self) -> None:
        """Close what the parts hold open."""
        for close in self.closers:
            close()


def open_front(settings: Settings, *, patient: bool = False) -> Front:
    """Open what the settings name, without an executor, in a database that was migrated before.

    Raises `StoreUnavailable` when the database can't be used as it is, `ConfigurationError` when
    the settings don't fit it; both name the setting and the cure. With `patient` a database that
    may yet come is no reason to raise: until it can be used, each use of it raises instead.
    """
    opened = ExitStack()
    try:
        return _open_front(opened, settings, patient=patient and may_come_back(settings))
    except BaseException:
        opened.close()
        raise


def may_come_back(settings: Settings) -> bool:
    """Tell whether a database that can't be used now may be worth waiting for.

    A server may be started or migrated; where messages come by SQS, there is work without it. A
    file that is not there is a mistake that is better told at once.
    """
    return settings.broker.kind == "sqs" or not settings.database.startswith("sqlite:")


def _check(store: Store, settings: Settings) -> None:
    check_schema(store)
    check_installation(store, settings)


def _check_later(store: Store, settings: Settings) -> None:
    try:
        _check(store, settings)
    except ConfigurationError as error:
        raise StoreUnavailable(str(error)) from error
    log.info("the database %s can be used", store.shown_url)


def _open_front(opened: ExitStack, settings: Settings, *, patient: bool) -> Front:
    store = kept(opened, Store(settings.database))
    try:
        _check(store, settings)
    except StoreUnavailable as error:
        if not patient:
            raise
        log.warning("the database is waited for: %s", error)
        store.require(lambda: _check_later(store, settings))
    bell = kept(opened, Bell(settings.home))
    logs = kept(opened, open_logs(settings))
    broker = kept(opened, open_broker(store, settings))
    queues, topics = open_queues(opened, settings, store)
    sources = kept(opened, TaskLogs(logs, store))
    return Front(
        settings=settings,
        store=store,
        broker=broker,
        queues=queues,
        logs=logs,
        bell=bell,
        topics=topics,
        sources=open_sources(opened, settings),
        watching=kept(opened, Watching(sources.open_log)),
        closers=(opened.close,),
    )


def check_installation(store: Store, settings: Settings) -> str:
    """Return the database's installation; raise `ConfigurationError` if the setting differs."""
    found = store.read(apps.installation_name)
    if settings.installation not in (None, found):
        raise ConfigurationError(
            f"BARBEQUE_INSTALLATION is {settings.installation}, but the database belongs to the "
            f"installation {found}: unset it, or name another BARBEQUE_DATABASE"
        )
    return found
