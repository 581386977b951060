"""What `barbeque check` looks at in AWS; without credentials or a Region, only at that."""

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta

from barbeque_py.cli.aws_asking import Caller, NoCredentials, Unusable, open_asker, who_asks
from barbeque_py.cli.finding import FAULT, OK, WARNING, Finding, attempt_all
from barbeque_py.cli.findings_ecs import look_at_ecs, ways
from barbeque_py.cli.findings_events import look_at_events
from barbeque_py.cli.findings_s3 import look_at_bucket
from barbeque_py.cli.findings_sqs import look_at_queues, look_at_topics
from barbeque_py.ecs_url import EcsUrl
from barbeque_py.errors import BarbequeError, ConfigurationError
from barbeque_py.settings import Settings
from barbeque_py.store import Store, apps, subscriptions
from barbeque_py.wiring.logs import open_logs

_WORRYING, _TOO_FAR = timedelta(seconds=10), timedelta(minutes=4)


def uses_aws(settings: Settings) -> bool:
    """Tell whether a setting names something in AWS."""
    on_ecs = isinstance(settings.executor, EcsUrl)
    return on_ecs or settings.broker.kind == "sqs" or settings.logs.kind == "s3"


class Aws:
    """Looks at what the settings name in AWS, once it is known who asks."""

    def __init__(self) -> None:
        self._caller: Caller | None = None
        self._hopeless = False

    def look(self, settings: Settings) -> Iterator[Finding]:
        """Look who we are; what is wrong with that is said here, and nothing else is asked."""
        try:
            if _needs_region(settings):
                open_asker("sqs", None).close()
            self._caller = caller = who_asks(_region(settings))
        except (ConfigurationError, NoCredentials) as error:
            self._hopeless = True
            yield Finding(FAULT, "aws", str(error))
        except Unusable as error:
            yield Finding(WARNING, "aws", f"STS does not tell who we are: {error}")
        except BarbequeError as error:
            yield Finding(WARNING, "aws", str(error))
        else:
            told = f"account {caller.account}, Region {caller.region}, as {caller.arn}"
            yield Finding(OK, "aws", told)
            yield from _clock(caller)

    def look_at_logs(self, settings: Settings) -> Iterator[Finding]:
        """Look at the bucket."""
        if self._hopeless:
            return
        with ExitStack() as opened:
            try:
                store = open_logs(settings)
            except BarbequeError as error:
                yield Finding(FAULT, "logs", str(error))
                return
            opened.callback(getattr(store, "close", lambda: None))
            yield from attempt_all("logs", lambda: look_at_bucket(settings, store))

    def look_at_broker(self, settings: Settings, store: Store) -> Iterator[Finding]:
        """Look at the queues and the topics that they hear."""
        if self._hopeless:
            return
        caller = self._caller
        installation, names = store.read(
            lambda tx: (apps.installation_name(tx), apps.queue_names(tx))
        )
        yield from attempt_all(
            "broker", lambda: look_at_queues(settings, names, installation, caller)
        )
        topics = store.read(subscriptions.everything)
        yield from attempt_all("topic", lambda: look_at_topics(topics, caller))

    def look_at_executor(self, settings: Settings, url: EcsUrl, store: Store) -> Iterator[Finding]:
        """Look at clusters, what tasks need, and the events that tell of them."""
        if self._hopeless:
            return
        caller = self._caller
        installation, found = store.read(lambda tx: (apps.installation_name(tx), ways(tx, url)))
        yield from look_at_ecs(settings, url, found, installation, caller)
        queue = url.events or f"barbeque-{installation}-task-events"
        region = url.region or settings.aws_region
        yield from attempt_all("events", lambda: look_at_events(queue, installation, region))


def _region(settings: Settings) -> str | None:
    on_ecs = settings.executor.region if isinstance(settings.executor, EcsUrl) else None
    return settings.aws_region or settings.broker.region or on_ecs or settings.logs.region


def _needs_region(settings: Settings) -> bool:
    """Tell whether the Region must be known to the SDK, as neither a URL nor we know it."""
    on_ecs = isinstance(settings.executor, EcsUrl) and settings.executor.region is None
    on_sqs = settings.broker.kind == "sqs" and settings.broker.region is None
    return settings.aws_region is None and (on_ecs or on_sqs)


def _clock(caller: Caller) -> Iterator[Finding]:
    if caller.skew is None:
        return
    off = abs(caller.skew)
    told = f"this machine's clock is {off.total_seconds():.0f} s off AWS's: set it by NTP"
    if off > _TOO_FAR:
        yield Finding(FAULT, "clock", f"{told}, or AWS refuses every call")
    elif off > _WORRYING:
        yield Finding(WARNING, "clock", told)
    else:
        yield Finding(OK, "clock", "this machine's clock agrees with AWS's")
