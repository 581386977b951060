"""Puts the parts together: the only place that picks adapters, by the settings' URLs."""

import logging
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, fields, replace
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING, TypeVar

from barbeque_py import setting_values
from barbeque_py.broker import Broker, Queues
from barbeque_py.brokers.database import DatabaseBroker
from barbeque_py.callbacks import LOG_AT
from barbeque_py.ecs_url import EcsUrl
from barbeque_py.errors import ConfigurationError, StoreUnavailable
from barbeque_py.executor import Executor
from barbeque_py.executors.callback import CallbackExecutor, CallbackLog
from barbeque_py.executors.docker import DockerExecutor
from barbeque_py.executors.engine import Engine, engine_answers
from barbeque_py.executors.process import ProcessExecutor
from barbeque_py.ids import AttemptId
from barbeque_py.logs import LogSource
from barbeque_py.logstore import LogStore
from barbeque_py.logstores.directory import DirectoryLogStore
from barbeque_py.notices import Channel, Notice
from barbeque_py.notifier import Notifier, Receipt
from barbeque_py.outbound import Outbound
from barbeque_py.registries.asking import Registries
from barbeque_py.release import Sources
from barbeque_py.setting_values import ExecutorUrl, MailUrl
from barbeque_py.settings import Settings, environment_of_jobs
from barbeque_py.store import Store, apps
from barbeque_py.store.revision import check_schema
from barbeque_py.subscriptions import Topics
from barbeque_py.targets import Allowed
from barbeque_py.tickets import JobUrls
from barbeque_py.wake import Bell
from barbeque_py.watched import Watching

if TYPE_CHECKING:
    from barbeque_py.cloudwatch import CloudWatch
    from barbeque_py.notifiers.email import Post

DOCKER_SOCKET = "/var/run/docker.sock"
"""Where the Docker engine listens when no `socket` is set."""

_ENGINE_PATIENCE = 5.0

T = TypeVar("T")

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts(Front):
    """Everything a worker of this installation works with."""

    executor: Executor
    notifiers: Mapping[Channel, Notifier]
    """What can be told from here; a channel that is not set up is missing."""
    callbacks: CallbackExecutor
    """Has jobs run by the backends of their apps, beside the executor."""
    outbound: Outbound
    """Sends to addresses that apps have named."""
    job_urls: JobUrls
    """Where backends answer."""


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
    store = _kept(opened, Store(settings.database))
    try:
        _check(store, settings)
    except StoreUnavailable as error:
        if not patient:
            raise
        log.warning("the database is waited for: %s", error)
        store.require(lambda: _check_later(store, settings))
    bell = _kept(opened, Bell(settings.home))
    logs = _kept(opened, open_logs(settings))
    broker = _kept(opened, open_broker(store, settings))
    queues, topics = _open_queues(opened, settings, store)
    sources = _kept(opened, _TaskLogs(logs, store))
    return Front(
        settings=settings,
        store=store,
        broker=broker,
        queues=queues,
        logs=logs,
        bell=bell,
        topics=topics,
        sources=_open_sources(opened, settings),
        watching=_kept(opened, Watching(sources.open_log)),
        closers=(opened.close,),
    )


def open_parts(settings: Settings) -> Parts:
    """Open everything the settings name; raises what `open_front` raises."""
    front = open_front(settings)
    try:
        url = choose_executor(front.store, settings)
        executor, close = open_executor(
            url, settings, front.store, front.logs, installation=front.installation
        )
    except BaseException:
        front.close()
        raise
    facts = {field.name: getattr(front, field.name) for field in fields(front)}
    facts["closers"] = (close, *front.closers)
    outbound = Outbound(settings.webhook_allow or Allowed())
    return Parts(
        **facts,
        executor=executor,
        notifiers=open_notifiers(settings)
        | {Channel.WEBHOOK: _open_webhooks(front.store, outbound, settings)},
        callbacks=CallbackExecutor(front.store, outbound),
        outbound=outbound,
        job_urls=JobUrls(
            settings.job_url or settings.url, front.store.read(apps.installation_secret)
        ),
    )


def open_notifiers(settings: Settings) -> dict[Channel, Notifier]:
    """Return what tells people over each channel that is set up; touches nothing yet.

    Raises `ConfigurationError`.
    """
    slack = _WhenNeeded(lambda: _open_slack(settings))
    found: dict[Channel, Notifier] = {Channel.SLACK: slack}
    if settings.mail is not None:
        found[Channel.EMAIL] = _open_email(settings.mail, settings)
    return found


class _WhenNeeded:
    """A notifier that its first notice opens: slack-sdk takes longer to load than all of ours."""

    def __init__(self, open_: Callable[[], Notifier]) -> None:
        self._open = open_
        self._opened: Notifier | None = None
        self._guard = Lock()

    def deliver(self, notice: Notice) -> Receipt:
        """Deliver the notice as the notifier does."""
        with self._guard:
            opened = self._opened = self._opened or self._open()
        return opened.deliver(notice)


def _open_slack(settings: Settings) -> Notifier:
    from barbeque_py.notifiers.slack import SlackNotifier  # noqa: PLC0415

    return SlackNotifier(settings.slack, settings.slack_api, host_url=settings.host_url)


def _open_webhooks(store: Store, outbound: Outbound, settings: Settings) -> Notifier:
    from barbeque_py.notifiers.webhook import WebhookNotifier  # noqa: PLC0415

    return WebhookNotifier(store, outbound, host_url=settings.host_url)


def _open_email(url: MailUrl, settings: Settings) -> Notifier:
    from barbeque_py.notifiers.email import EmailNotifier  # noqa: PLC0415

    if settings.mail_from is None:
        raise ConfigurationError(
            "BARBEQUE_MAIL_FROM is not set, and BARBEQUE_MAIL is: say in whose name email is sent, "
            "as in Barbeque <jobs@example.com>"
        )
    return EmailNotifier(_open_post(url, settings), settings.mail_from, host_url=settings.host_url)


def _open_post(url: MailUrl, settings: Settings) -> "Post":
    if url.kind == "ses":
        from barbeque_py.notifiers.ses import SesPost  # noqa: PLC0415

        return SesPost(region=url.region or settings.aws_region)
    from barbeque_py.notifiers.email import SmtpPost  # noqa: PLC0415

    return SmtpPost(url)


def _kept(opened: ExitStack, part: T) -> T:
    """Have the part closed with the others, if it holds anything open."""
    close = getattr(part, "close", None)
    if close is not None:
        opened.callback(close)
    return part


def check_installation(store: Store, settings: Settings) -> str:
    """Return the database's installation; raise `ConfigurationError` if the setting differs."""
    found = store.read(apps.installation_name)
    if settings.installation not in (None, found):
        raise ConfigurationError(
            f"BARBEQUE_INSTALLATION is {settings.installation}, but the database belongs to the "
            f"installation {found}: unset it, or name another BARBEQUE_DATABASE"
        )
    return found


# AWS's adapters are imported where they are opened: boto3 takes 0.1 s to load, for nothing on a
# machine without AWS.


def open_broker(store: Store, settings: Settings) -> Broker:
    """Return what BARBEQUE_BROKER names; touches nothing yet."""
    url = settings.broker
    if url.kind == "database":
        return DatabaseBroker(store)
    from barbeque_py.brokers.sqs import SqsBroker  # noqa: PLC0415

    return SqsBroker(url.prefix, region=url.region or settings.aws_region)


def _open_queues(
    opened: ExitStack, settings: Settings, store: Store
) -> tuple[Queues | None, Topics | None]:
    """Return what makes queues and what lets them hear SNS, which ask nothing of AWS yet."""
    url = settings.broker
    if url.kind == "database":
        return None, None
    from barbeque_py.brokers.sqs_queues import SqsQueues  # noqa: PLC0415
    from barbeque_py.sns import SnsTopics  # noqa: PLC0415

    region = url.region or settings.aws_region
    name = partial(store.read, apps.installation_name)
    queues = _kept(opened, SqsQueues(url.prefix, installation=name, region=region))
    topics = SnsTopics(queue_arn=queues.queue_arn, allow_topics=queues.allow_topics)
    return queues, _kept(opened, topics)


def digest_of(image: str) -> str | None:
    """Return what an image's tag means now, None when its registry does not tell."""
    registries = Registries()
    try:
        return registries.digest_of(image)
    finally:
        registries.close()


def _open_sources(opened: ExitStack, settings: Settings) -> Sources:
    registries = _kept(opened, Registries())
    return Sources(registries, settings.docker_registry, settings.registries or ())


def open_logs(settings: Settings) -> LogStore:
    """Return the log store that BARBEQUE_LOGS names; touches nothing yet."""
    url = settings.logs
    if url.kind == "directory":
        return DirectoryLogStore(url.path)
    from barbeque_py.logstores.s3 import S3LogStore  # noqa: PLC0415

    return S3LogStore(url.bucket, url.prefix, region=url.region or settings.aws_region)


class _TaskLogs:
    """Opens logs where they are written; AWS is first spoken to when a task's is read."""

    def __init__(self, logs: LogStore, store: Store) -> None:
        self._logs = logs
        self._store = store
        self._opened: CloudWatch | None = None
        self._guard = Lock()

    def open_log(self, log_at: str) -> LogSource:
        """Return the log at that place; raises `ValueError` when it is none."""
        if log_at.startswith(LOG_AT):
            return CallbackLog(self._store, AttemptId(log_at.removeprefix(LOG_AT)))
        from barbeque_py.cloudwatch import CloudWatch  # noqa: PLC0415
        from barbeque_py.firelens import Firelens  # noqa: PLC0415
        from barbeque_py.task_log import is_by_firelens  # noqa: PLC0415

        with self._guard:
            opened = self._opened = self._opened or CloudWatch()
        if is_by_firelens(log_at):
            # S3 has the whole only after the task's end.
            installation = self._store.read(apps.installation_name)
            source = Firelens(self._logs, installation, opened)
            return source.open_log(log_at, trusted=False)
        return opened.open_log(log_at)

    def close(self) -> None:
        """Close the connections."""
        if self._opened is not None:
            self._opened.close()


def open_executor(
    url: ExecutorUrl | EcsUrl,
    settings: Settings,
    store: Store,
    logs: LogStore,
    *,
    installation: str,
) -> tuple[Executor, Callable[[], None]]:
    """Return the executor, and what closes it; no engine is asked anything yet."""
    if isinstance(url, EcsUrl):
        return _open_ecs(url, settings, store, logs, installation)
    if url.kind == "docker":
        docker = DockerExecutor(
            installation=installation,
            socket=socket_of(url),
            slots=url.slots,
            urls=_job_urls(settings, store),
        )
        return docker, docker.close
    process = ProcessExecutor(
        home=settings.home,
        installation=installation,
        slots=url.slots,
        environment=environment_of_jobs(),
        urls=_job_urls(settings, store),
    )
    return process, lambda: None


def _job_urls(settings: Settings, store: Store) -> JobUrls | None:
    if settings.job_url is None:
        return None
    return JobUrls(settings.job_url, store.read(apps.installation_secret))


def _open_ecs(
    url: EcsUrl, settings: Settings, store: Store, logs: LogStore, installation: str
) -> tuple[Executor, Callable[[], None]]:
    from barbeque_py.executors.ecs import EcsExecutor  # noqa: PLC0415
    from barbeque_py.executors.ecs_definition import Bucket  # noqa: PLC0415

    place, registries = settings.logs, Registries()
    executor = EcsExecutor(
        store,
        replace(url, region=url.region or settings.aws_region),
        installation=installation,
        urls=_job_urls(settings, store),
        bucket=Bucket(place.bucket, place.prefix, logs) if place.kind == "s3" else None,
        registry=registries,
    )

    def close() -> None:
        executor.close()
        registries.close()

    return executor, close


def choose_executor(store: Store, settings: Settings) -> ExecutorUrl | EcsUrl:
    """Return the executor that is set, else the one that was chosen when the database was made.

    Raises `ConfigurationError` when there is neither.
    """
    if settings.executor is not None:
        return settings.executor
    stored = store.read(apps.stored_executor)
    if stored is None:
        raise ConfigurationError(
            "BARBEQUE_EXECUTOR is not set, and `barbeque up` has never chosen one for this "
            "database: set it to docker: or process:"
        )
    return setting_values.read_executor(stored)


def settle_executor(store: Store, settings: Settings) -> tuple[ExecutorUrl | EcsUrl, str]:
    """Choose as `choose_executor`; where nothing was chosen yet, ask the engine, and keep it.

    Returns the executor and a sentence for people that tells which, and why.
    """
    if settings.executor is not None:
        return settings.executor, f"{_named(settings.executor)}, as BARBEQUE_EXECUTOR says"
    stored = store.read(apps.stored_executor)
    if stored is not None:
        url = setting_values.read_executor(stored)
        return url, f"{_named(url)}, as when this database was made (BARBEQUE_EXECUTOR changes it)"
    answers = engine_answers(DOCKER_SOCKET)
    url = ExecutorUrl("docker" if answers else "process")
    store.write(lambda tx: apps.store_executor(tx, f"{url.kind}:"))
    return url, f"{_named(url)}, because {'an' if answers else 'no Docker'} engine " + (
        "answers" if answers else f"answers at {DOCKER_SOCKET} (BARBEQUE_EXECUTOR changes it)"
    )


def _named(url: ExecutorUrl | EcsUrl) -> str:
    if isinstance(url, EcsUrl):
        return f"as tasks of the ECS cluster {url.cluster}"
    return "in Docker containers" if url.kind == "docker" else "as processes of this machine"


def socket_of(url: ExecutorUrl) -> str:
    """Return the path of the Docker engine's socket."""
    return str(url.socket or DOCKER_SOCKET)


def engine_version(url: ExecutorUrl) -> str:
    """Return the Docker engine's version. Raises `ExecutorUnavailable`."""
    engine = Engine(socket_of(url), _ENGINE_PATIENCE)
    try:
        return str(engine.call("GET", "/version").json()["Version"])
    finally:
        engine.close()
