"""What `barbeque check` looks at between ECS and us: EventBridge's rule and the queue it fills."""

import json
from collections.abc import Iterator
from contextlib import closing
from typing import Any

from barbeque_py.cli.aws_asking import NotAllowed, Refused, ask, denied, look, open_asker
from barbeque_py.cli.finding import FAULT, NOTE, OK, Finding, listed
from barbeque_py.cli.findings_sqs import tries

_SENDER = "events.amazonaws.com"
_KIND = "ECS Task State Change"
_SENDING = frozenset({"sqs:SendMessage", "SQS:SendMessage", "sqs:*", "SQS:*", "*"})
_WITHOUT = "ends of jobs are found by looking only, up to a minute late"


def look_at_events(queue: str, installation: str, region: str | None) -> Iterator[Finding]:
    """Look at the queue, its policy, and the rule of EventBridge that fills it."""
    with closing(open_asker("sqs", region)) as sqs:
        try:
            url = str(ask(sqs.get_queue_url, QueueName=queue)["QueueUrl"])
        except NotAllowed:
            yield Finding(FAULT, "events", f"the role may not do sqs:GetQueueUrl on {queue}")
            return
        except Refused:
            yield Finding(
                FAULT,
                "events",
                f"there is no SQS queue {queue} for events of tasks, so {_WITHOUT}: make it, with "
                f"a rule of EventBridge that sends {_KIND} there, or name another one (events= in "
                "BARBEQUE_EXECUTOR)",
            )
            return
        refused = denied(tries(sqs, url, with_sending=False))
        if refused:
            yield Finding(
                FAULT, "events", f"the worker's role may not do {listed(refused)} on {queue}"
            )
        names = ["Policy", "QueueArn"]
        found = look(sqs.get_queue_attributes, QueueUrl=url, AttributeNames=names)
    if found is None:
        needed = "sqs:GetQueueAttributes"
        yield Finding(NOTE, "events", f"the policy of {queue} was not looked at: needs {needed}")
        return
    facts = found.get("Attributes", {})
    if not _lets_in(json.loads(facts.get("Policy") or "{}")):
        yield Finding(
            FAULT,
            "events",
            f"the policy of {queue} does not let EventBridge send, so {_WITHOUT}: allow "
            f"sqs:SendMessage to {_SENDER} on {facts['QueueArn']}",
        )
    yield from _rule(queue, facts["QueueArn"], installation, region)


def _lets_in(policy: dict[str, Any]) -> bool:
    """Tell whether a statement allows EventBridge to send; its conditions are not judged."""
    statements = policy.get("Statement", [])
    for each in statements if isinstance(statements, list) else [statements]:
        principal = each.get("Principal", {})
        who = principal if isinstance(principal, str) else json.dumps(principal)
        actions = each.get("Action", [])
        some = {actions} if isinstance(actions, str) else set(actions)
        if each.get("Effect") == "Allow" and some & _SENDING and (_SENDER in who or "*" in who):
            return True
    return False


def _rule(queue: str, arn: str, installation: str, region: str | None) -> Iterator[Finding]:
    with closing(open_asker("events", region)) as client:
        try:
            answer = look(client.list_rule_names_by_target, TargetArn=arn)
            names = [] if answer is None else answer["RuleNames"]
            rules = [look(client.describe_rule, Name=name) for name in names]
        except Refused as error:
            yield Finding(FAULT, "events", f"the rule of EventBridge can't be looked at: {error}")
            return
    if answer is None or None in rules:
        yield Finding(
            NOTE,
            "events",
            "the rule of EventBridge was not looked at: needs events:ListRuleNamesByTarget and "
            "events:DescribeRule",
        )
        return
    faults = [fault for rule in rules if (fault := _fault(rule, installation))]
    if not rules:
        yield Finding(
            FAULT,
            "events",
            f"no rule of EventBridge sends to {queue}, so {_WITHOUT}: make one with the pattern "
            f"{json.dumps(_pattern(installation))}",
        )
    elif len(faults) == len(rules):
        yield Finding(FAULT, "events", f"{faults[0]}, so {_WITHOUT}")
    else:
        yield Finding(OK, "events", f"EventBridge may send what happens to tasks to {queue}")


def _fault(rule: dict[str, Any], installation: str) -> str | None:
    name = rule["Name"]
    if rule.get("State", "").startswith("DISABLED"):
        return f"the rule {name} of EventBridge is disabled: `aws events enable-rule --name {name}`"
    pattern = json.loads(rule.get("EventPattern") or "{}")
    detail = pattern.get("detail", {})
    ours = f"bq/{installation}/"
    starters = detail.get("startedBy")
    lost = {
        "source": "aws.ecs" not in pattern.get("source", ["aws.ecs"]),
        "detail-type": _KIND not in pattern.get("detail-type", [_KIND]),
        "lastStatus": "STOPPED" not in detail.get("lastStatus", ["STOPPED"]),
        "startedBy": starters is not None and not any(_meets(each, ours) for each in starters),
    }
    wrong = [word for word, is_lost in lost.items() if is_lost]
    if wrong:
        return (
            f"the rule {name} of EventBridge does not match our tasks ({listed(wrong)}): give it "
            f"the pattern {json.dumps(_pattern(installation))}"
        )
    return None


def _meets(matcher: Any, ours: str) -> bool:
    """Tell whether the matcher of `startedBy` may take ours; those that we don't know may."""
    if not isinstance(matcher, dict) or "prefix" not in matcher:
        return isinstance(matcher, dict)
    prefix = str(matcher["prefix"])
    return ours.startswith(prefix)


def _pattern(installation: str) -> dict[str, Any]:
    return {
        "source": ["aws.ecs"],
        "detail-type": [_KIND],
        "detail": {
            "lastStatus": ["RUNNING", "STOPPED"],
            "startedBy": [{"prefix": f"bq/{installation}/"}],
        },
    }
