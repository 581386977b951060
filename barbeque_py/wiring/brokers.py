"""Opens what carries messages, and what makes its queues.

AWS's adapters are imported where they are opened, here and beside: boto3 takes 0.1 s to load, for
nothing on a machine without AWS.
"""

from contextlib import ExitStack
from functools import partial

from barbeque_py.broker import Broker, Queues
from barbeque_py.brokers.database import DatabaseBroker
from barbeque_py.settings import Settings
from barbeque_py.store import Store, apps
from barbeque_py.subscriptions import Topics
from barbeque_py.wiring.opened import kept


def open_broker(store: Store, settings: Settings) -> Broker:
    """Return what BARBEQUE_BROKER names; touches nothing yet."""
    url = settings.broker
    if url.kind == "database":
        return DatabaseBroker(store)
    from barbeque_py.brokers.sqs import SqsBroker  # noqa: PLC0415

    return SqsBroker(url.prefix, region=url.region or settings.aws_region)


def open_queues(
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
    queues = kept(opened, SqsQueues(url.prefix, installation=name, region=region))
    topics = SnsTopics(queue_arn=queues.queue_arn, allow_topics=queues.allow_topics)
    return queues, kept(opened, topics)
