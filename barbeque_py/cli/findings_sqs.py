"""What `barbeque check` looks at in SQS and SNS: queues, their dead-letter queues, permissions."""

import json
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any

from barbeque_py.cli.aws_asking import Caller, NotAllowed, Refused, Trial, ask, denied, open_asker
from barbeque_py.cli.finding import FAULT, NOTE, OK, WARNING, Finding, listed
from barbeque_py.settings import Settings
from barbeque_py.store.subscriptions import Subscribed

_TAG = "barbeque.installation"
_FORTNIGHT = 14 * 24 * 3600
_MAKING = ("sqs:CreateQueue", "sqs:SetQueueAttributes", "sqs:TagQueue")
_NO_QUEUE = ("QueueDoesNotExist", "NonExistentQueue")
_BOGUS = "barbeque-check"


def look_at_queues(
    settings: Settings, names: Sequence[str], installation: str, caller: Caller | None
) -> Iterator[Finding]:
    """Look at every queue that the database knows, and at its dead-letter queue."""
    prefix = settings.broker.prefix
    region = settings.broker.region or settings.aws_region
    with closing(open_asker("sqs", region)) as client:
        faults = 0
        called = [prefix + name + tail for name in names for tail in ("", "-dead")]
        for queue in called:
            for finding in _look_at(client, queue, installation):
                faults += finding.level == FAULT
                yield finding
        if not names:
            yield Finding(
                WARNING,
                "broker",
                f"SQS, queues are named {prefix}QUEUE, and there are none yet: "
                "`barbeque apply -f FILE` makes them",
            )
        elif not faults:
            yield Finding(
                OK,
                "broker",
                f"SQS, queues named {prefix}QUEUE: {listed(names)}, and their dead-letter queues; "
                "send, receive, extend and delete were tried and are allowed",
            )
    yield from _making(prefix, region, caller)


def _look_at(client: Any, called: str, installation: str) -> Iterator[Finding]:
    try:
        url = str(ask(client.get_queue_url, QueueName=called)["QueueUrl"])
    except NotAllowed as error:
        yield _denied(called, ["sqs:GetQueueUrl"], why=str(error))
        return
    except Refused as error:
        if error.code.rpartition(".")[2] not in _NO_QUEUE:
            raise
        cure = "`barbeque apply -f FILE` makes the queues that the file names"
        yield Finding(FAULT, "queue", f"there is no queue {called} in SQS: {cure}")
        return
    yield from _owner(client, called, url, installation)
    yield from _settings_of(client, called, url)
    missing = denied(tries(client, url, with_sending=not called.endswith("-dead")))
    if missing:
        yield _denied(called, missing)


def _owner(client: Any, called: str, url: str, installation: str) -> Iterator[Finding]:
    try:
        owner = ask(client.list_queue_tags, QueueUrl=url).get("Tags", {}).get(_TAG)
    except NotAllowed:
        yield _only_api(called, ["sqs:ListQueueTags"])
        return
    if owner is None:
        yield Finding(
            WARNING, "queue", f"{called} is nobody's yet: `barbeque apply -f FILE` makes it ours"
        )
    elif owner != installation:
        yield Finding(
            FAULT,
            "queue",
            f"{called} belongs to the installation {owner}, this is {installation}: give "
            "BARBEQUE_BROKER another prefix",
        )


def _settings_of(client: Any, called: str, url: str) -> Iterator[Finding]:
    """Compare what matters most: how long messages are kept, and where they go in the end."""
    try:
        answer = ask(client.get_queue_attributes, QueueUrl=url, AttributeNames=["All"])
    except NotAllowed:
        yield _only_api(called, ["sqs:GetQueueAttributes"])
        return
    found = answer.get("Attributes", {})
    wrong = []
    if int(found.get("MessageRetentionPeriod", 0)) != _FORTNIGHT:
        wrong.append("it does not keep messages for 14 days")
    target = json.loads(found.get("RedrivePolicy") or "{}").get("deadLetterTargetArn", "")
    if not called.endswith("-dead") and not target.endswith(f":{called}-dead"):
        wrong.append(f"what workers fail at does not go to {called}-dead")
    if wrong:
        cure = "`barbeque apply -f FILE` brings it right"
        yield Finding(WARNING, "queue", f"{called}: {' and '.join(wrong)}: {cure}")


def tries(client: Any, url: str, *, with_sending: bool) -> list[Trial]:
    """Return calls that leave a queue's messages alone, with the permission that each needs."""
    entry = {"Id": "check"}
    receipt = entry | {"ReceiptHandle": _BOGUS}
    hidden = receipt | {"VisibilityTimeout": 0}
    # SQS gives out a message at once again that is not hidden; nothing else tells of this one.
    taking = {"MaxNumberOfMessages": 1, "WaitTimeSeconds": 0, "VisibilityTimeout": 0}
    trials = [
        Trial("sqs:ReceiveMessage", client.receive_message, {"QueueUrl": url, **taking}),
        _batch("sqs:DeleteMessage", client.delete_message_batch, url, receipt),
    ]
    if with_sending:
        too_late = entry | {"MessageBody": _BOGUS, "DelaySeconds": 901}
        trials += [
            _batch("sqs:SendMessage", client.send_message_batch, url, too_late),
            _batch(
                "sqs:ChangeMessageVisibility", client.change_message_visibility_batch, url, hidden
            ),
        ]
    return trials


def _batch(action: str, call: Any, url: str, entry: dict[str, Any]) -> Trial:
    return Trial(action, call, {"QueueUrl": url, "Entries": [entry]})


def _denied(called: str, actions: Sequence[str], why: str = "") -> Finding:
    told = f" ({why})" if why else ""
    return Finding(
        FAULT,
        "queue",
        f"the role may not do {listed(actions)} on {called}{told}: allow it in the role's policy, "
        "for all queues with our prefix",
    )


def _only_api(called: str, actions: Sequence[str]) -> Finding:
    return Finding(
        WARNING,
        "queue",
        f"the role may not do {listed(actions)} on {called}: the API's role must, or "
        "`barbeque apply` makes no queues",
    )


def _making(prefix: str, region: str | None, caller: Caller | None) -> Iterator[Finding]:
    """Say whether queues can be made, which is not tried: it would make one."""
    refused = None
    if caller is not None:
        refused = caller.refused(_MAKING, [caller.arn_of("sqs", f"{prefix}default", region)])
    if refused is None:
        yield Finding(
            NOTE,
            "broker",
            f"{listed(_MAKING)}, which the API needs for `barbeque apply`, were not looked at: "
            "allow iam:SimulatePrincipalPolicy to have them looked at",
        )
    elif refused:
        yield _only_api(f"{prefix}*", refused)


def look_at_topics(rows: Sequence[Subscribed], caller: Caller | None) -> list[Finding]:
    """Look at what SNS could not be told of, and whether it may be told."""
    found = [
        Finding(WARNING, "topic", f"{each.topic} on {each.queue}: {each.fault}")
        for each in rows
        if each.fault
    ]
    topics = sorted({each.topic for each in rows})
    if topics and caller is not None:
        actions = ("sns:Subscribe", "sns:Unsubscribe")
        refused = caller.refused(actions, topics)
        if refused:
            told = f"the role may not do {listed(sorted(set(refused)))}: the API's role must, "
            found.append(Finding(WARNING, "topic", f"{told}or queues hear no topics"))
    return found
