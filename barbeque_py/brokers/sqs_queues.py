"""The queues in SQS: what they are called, how they are made, and who may put messages on them.

A queue of ours is the SQS queue `<prefix><name>`, and what was received from it 20 times without
being deleted goes to `<prefix><name>-dead`. No queue of ours may end in `-dead`, so the two kinds
never meet, and one pattern, `<prefix>*`, covers both in a role's policy.
"""

import json
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from functools import cached_property
from typing import Any, TypeVar

from barbeque_py.apps import QUEUE_NAME
from barbeque_py.aws import FAILURES, calling, code_of, explain, is_definite, open_client
from barbeque_py.broker import Depth
from barbeque_py.errors import BrokerUnavailable, ConfigurationError, RequestError, UnknownQueue

VISIBILITY = timedelta(seconds=60)
LONGEST_POLL = timedelta(seconds=20)
RETENTION = timedelta(days=14)
"""How long SQS keeps a message: the longest it can."""
MOST_RECEIVES = 20
"""After so many receives a message goes to the dead-letter queue: it may be what kills workers."""
TAG = "barbeque.installation"
"""The tag that says whose a queue is."""

_DEAD = "-dead"
_LONGEST_NAME = 80
_LONGEST_PREFIX = 10
_PREFIX = re.compile(r"[A-Za-z0-9_-]*")
_OUR_STATEMENT = "BarbequeTopics"
_MISSING = frozenset({"QueueDoesNotExist", "NonExistentQueue"})
_TAKEN = frozenset({"QueueAlreadyExists", "QueueNameExists"})
_JUST_DELETED = "QueueDeletedRecently"
_NEW_QUEUE_PAUSES = (0.1, 0.2, 0.4, 0.8, 1.6)
"""Seconds between the looks at a new queue, which is known everywhere only after a second."""

T = TypeVar("T")


class SqsQueues:
    """Makes the queues of one installation, and brings those it finds right.

    Safe to use from many threads; the connection is made by the first call that needs it.
    What AWS definitely refuses is a `ConfigurationError` that names the missing permission, any
    other failure a `BrokerUnavailable`.
    """

    def __init__(
        self,
        prefix: str,
        *,
        installation: str | Callable[[], str],
        region: str | None = None,
        visibility: timedelta = VISIBILITY,
        client: Any = None,
    ) -> None:
        self._prefix = check_prefix(prefix)
        self._name = installation if callable(installation) else lambda: installation
        self._region = region
        self._visibility = visibility
        self._opened = client
        self._opening = threading.Lock()

    most_receives = MOST_RECEIVES

    def close(self) -> None:
        """Close the connections."""
        if self._opened is not None:
            self._opened.close()

    def dead_letters_of(self, name: str) -> str:
        """Return our name of the queue's dead-letter queue; raises what `dead_name` raises."""
        return dead_name(name)

    def ensure_queue(self, name: str) -> None:
        """Make the queue and its dead-letter queue, or bring right what we own of found ones.

        We own retention, visibility, waiting time, the dead-letter queue and one tag. Raises
        `RequestError` for a name that can't be had here, `ConfigurationError` for a queue that
        belongs to another installation.
        """
        dead = dead_name(name)
        if len(self._prefix + dead) > _LONGEST_NAME:
            longest = _LONGEST_NAME - len(self._prefix + _DEAD)
            raise RequestError(f"the queue {name}: its name may have up to {longest} characters")
        owned = {
            "MessageRetentionPeriod": str(int(RETENTION.total_seconds())),
            "ReceiveMessageWaitTimeSeconds": str(int(LONGEST_POLL.total_seconds())),
            "VisibilityTimeout": str(int(self._visibility.total_seconds())),
        }
        self._ensure(sqs_name(self._prefix, dead), owned)
        redrive = {"deadLetterTargetArn": self.queue_arn(dead), "maxReceiveCount": MOST_RECEIVES}
        self._ensure(sqs_name(self._prefix, name), owned | {"RedrivePolicy": json.dumps(redrive)})

    def queue_arn(self, name: str) -> str:
        """Return the queue's ARN; raises `UnknownQueue`."""
        return str(self._attributes(name, ["QueueArn"])["QueueArn"])

    def depth(self, name: str) -> Depth:
        """Count the queue's messages, as well as SQS can; raises `UnknownQueue`.

        How old the oldest is only CloudWatch tells.
        """
        kinds = ("", "NotVisible", "Delayed")
        names = [f"ApproximateNumberOfMessages{kind}" for kind in kinds]
        found = self._attributes(name, names)
        return Depth(*(int(found[each]) for each in names))

    def allow_topics(self, name: str, topic_arns: Iterable[str]) -> None:
        """Let these SNS topics, and no others, put messages on the queue.

        The policy's other statements stay. Raises `UnknownQueue`. Two calls at once for one queue
        may lose the earlier one's topics.
        """
        found = self._attributes(name, ["QueueArn", "Policy"])
        policy = json.loads(found.get("Policy") or "{}")
        statements = _statements(policy, found["QueueArn"], sorted(set(topic_arns)))
        if statements == policy.get("Statement", []):
            return
        policy = {"Version": "2012-10-17", **policy, "Statement": statements}
        text = json.dumps(policy) if statements else ""
        called = sqs_name(self._prefix, name)
        url = self._url(called)
        if url is None:
            raise unknown(called)
        self._set(called, url, {"Policy": text})

    @property
    def _client(self) -> Any:
        with self._opening:
            if self._opened is None:
                self._opened = open_client("sqs", region=self._region, connections=2)
            return self._opened

    @cached_property
    def _installation(self) -> str:
        return self._name()

    def _ensure(self, called: str, owned: Mapping[str, str]) -> None:
        url = self._url(called)
        if url is None and not self._create(called, owned):
            url = self._url(called)  # somebody else made it since we looked
        if url is None:
            self._wait_for(called)
            return
        self._claim(called, url)
        self._bring_right(called, url, owned)

    def _create(self, called: str, owned: Mapping[str, str]) -> bool:
        """Make the queue; False when there is one by now."""
        with _asking(f"making the queue {called} (sqs:CreateQueue, sqs:TagQueue)"):
            try:
                self._client.create_queue(
                    QueueName=called, Attributes=dict(owned), tags={TAG: self._installation}
                )
            except FAILURES as error:
                if plain_code(error) in _TAKEN:
                    return False
                raise
        return True

    def _wait_for(self, called: str) -> None:
        for pause in _NEW_QUEUE_PAUSES:
            if self._url(called) is not None:
                return
            time.sleep(pause)
        raise BrokerUnavailable(f"the queue {called} was made but is not there yet; try again")

    def _claim(self, called: str, url: str) -> None:
        """Put our tag on a queue that nobody else has claimed."""
        with _asking(f"reading the tags of the queue {called} (sqs:ListQueueTags)"):
            owner = self._client.list_queue_tags(QueueUrl=url).get("Tags", {}).get(TAG)
        if owner == self._installation:
            return
        if owner is not None:
            raise ConfigurationError(
                f"the queue {called} belongs to the installation {owner}, this is "
                f"{self._installation}: give BARBEQUE_BROKER another prefix"
            )
        with _asking(f"marking the queue {called} as ours (sqs:TagQueue)"):
            self._client.tag_queue(QueueUrl=url, Tags={TAG: self._installation})

    def _bring_right(self, called: str, url: str, owned: Mapping[str, str]) -> None:
        found = self._read(called, url, list(owned))
        wrong = {name: value for name, value in owned.items() if not _same(found.get(name), value)}
        if wrong:
            self._set(called, url, wrong)

    def _attributes(self, name: str, wanted: list[str]) -> dict[str, str]:
        called = sqs_name(self._prefix, name)
        url = self._url(called)
        if url is None:
            raise unknown(called)
        return self._read(called, url, wanted)

    def _read(self, called: str, url: str, wanted: list[str]) -> dict[str, str]:
        def read() -> dict[str, str]:
            answer = self._client.get_queue_attributes(QueueUrl=url, AttributeNames=wanted)
            found: dict[str, str] = answer.get("Attributes", {})
            return found

        doing = f"reading the settings of the queue {called} (sqs:GetQueueAttributes)"
        return _ask_new(doing, read)

    def _set(self, called: str, url: str, attributes: Mapping[str, str]) -> None:
        def write() -> None:
            self._client.set_queue_attributes(QueueUrl=url, Attributes=dict(attributes))

        names = ", ".join(sorted(attributes))
        _ask_new(f"setting {names} of the queue {called} (sqs:SetQueueAttributes)", write)

    def _url(self, called: str) -> str | None:
        with _asking(f"looking for the queue {called} (sqs:GetQueueUrl)"):
            return look_up(self._client, called)


def check_prefix(prefix: str) -> str:
    """Return the prefix of every queue's name; raises `ConfigurationError` for one SQS refuses."""
    if len(prefix) > _LONGEST_PREFIX or _PREFIX.fullmatch(prefix) is None:
        raise ConfigurationError(
            f"the prefix {prefix!r} of queues in SQS is not up to {_LONGEST_PREFIX} of "
            "A-Z a-z 0-9 _ -"
        )
    return prefix


def sqs_name(prefix: str, name: str) -> str:
    """Return what the queue is called in SQS; raises `UnknownQueue` where no queue can be."""
    called = prefix + name
    alive = name.removesuffix(_DEAD)
    if QUEUE_NAME.fullmatch(alive) is None or len(called) > _LONGEST_NAME:
        raise UnknownQueue(f"no queue is called {name[:_LONGEST_NAME]!r}")
    return called


def dead_name(name: str) -> str:
    """Return our name of the queue's dead-letter queue, which is received from like any other.

    Raises `RequestError` for a queue that could be mistaken for one itself.
    """
    if name.endswith(_DEAD):
        raise RequestError(f"the queue {name}: with SQS a name can't end in {_DEAD}")
    return name + _DEAD


def look_up(client: Any, called: str) -> str | None:
    """Return the queue's URL, None if there is no such queue; raises what the client raises."""
    try:
        return str(client.get_queue_url(QueueName=called)["QueueUrl"])
    except FAILURES as error:
        if is_missing(error):
            return None
        raise


def is_missing(error: BaseException) -> bool:
    """Tell whether SQS said that there is no such queue."""
    return plain_code(error) in _MISSING


def plain_code(error: BaseException) -> str:
    """Return the error's code without `AWS.SimpleQueueService.`, as it reads in one of two ways."""
    return code_of(error).rpartition(".")[2]


def unknown(called: str) -> UnknownQueue:
    """Return the error that says there is no such queue."""
    return UnknownQueue(f"there is no queue {called} in SQS; `barbeque apply` makes queues")


@contextmanager
def _asking(doing: str) -> Iterator[None]:
    """Tell a definite no, such as a missing permission, from an SQS that is away."""
    with calling(doing, BrokerUnavailable):
        try:
            yield
        except FAILURES as error:
            if not is_definite(error) or plain_code(error) == _JUST_DELETED:
                raise
            raise ConfigurationError(f"{doing} was refused: {explain(error)}") from error


def _ask_new(doing: str, ask: Callable[[], T]) -> T:
    """Ask about a queue that may be too new to be known everywhere."""
    for pause in _NEW_QUEUE_PAUSES:
        with _asking(doing):
            try:
                return ask()
            except FAILURES as error:
                if not is_missing(error):
                    raise
        time.sleep(pause)
    with _asking(doing):
        return ask()


def _same(found: str | None, wanted: str) -> bool:
    if found == wanted or found is None:
        return found == wanted
    return bool(_readable(found) == _readable(wanted))


def _readable(attribute: str) -> Any:
    """Return an attribute in a form that can be compared: SQS may write JSON in its own way."""
    try:
        value = json.loads(attribute)
    except ValueError:
        return attribute
    return {key: str(each) for key, each in value.items()} if isinstance(value, dict) else value


def _statements(policy: Mapping[str, Any], arn: str, topics: list[str]) -> list[Any]:
    """Return the policy's statements with ours for these topics at the end."""
    found = policy.get("Statement", [])
    foreign = [each for each in _listed(found) if each.get("Sid") != _OUR_STATEMENT]
    if not topics:
        return foreign
    ours = {
        "Sid": _OUR_STATEMENT,
        "Effect": "Allow",
        "Principal": {"Service": "sns.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": arn,
        "Condition": {"ArnEquals": {"aws:SourceArn": topics}},
    }
    return [*foreign, ours]


def _listed(found: Any) -> list[Any]:
    return found if isinstance(found, list) else [found]
