"""Everything a worker works with: the front and what runs attempts and tells people."""

from collections.abc import Mapping
from dataclasses import dataclass, fields

from barbeque_py.executor import Executor
from barbeque_py.executors.callback import CallbackExecutor
from barbeque_py.notices import Channel
from barbeque_py.notifier import Notifier
from barbeque_py.outbound import Outbound
from barbeque_py.settings import Settings
from barbeque_py.store import apps
from barbeque_py.targets import Allowed
from barbeque_py.tickets import JobUrls
from barbeque_py.wiring.executors import choose_executor, open_executor
from barbeque_py.wiring.front import Front, open_front
from barbeque_py.wiring.notifiers import open_notifiers, open_webhooks


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
        | {Channel.WEBHOOK: open_webhooks(front.store, outbound, settings)},
        callbacks=CallbackExecutor(front.store, outbound),
        outbound=outbound,
        job_urls=JobUrls(
            settings.job_url or settings.url, front.store.read(apps.installation_secret)
        ),
    )
