"""The stacks of one installation in CloudFormation: looked at, changed by change sets, deleted."""

import json
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from barbeque_py import clock
from barbeque_py.aws import open_client
from barbeque_py.cli.aws_asking import Refused, ask
from barbeque_py.cli.exits import Failure

Tell = Callable[[str], None]
"""Hears what happens, one line each."""

_PAUSE = 5.0
_PATIENCE = 60.0
_UNMADE = ("REVIEW_IN_PROGRESS",)
_NOTHING_NEW = ("didn't contain changes", "No updates are to be performed")
_CANCELLED = "cancelled"
_NO_LOSS = {
    "Statement": [
        {"Effect": "Allow", "Action": "Update:*", "Principal": "*", "Resource": "*"},
        {
            "Effect": "Deny",
            "Action": ["Update:Replace", "Update:Delete"],
            "Principal": "*",
            "Resource": "*",
        },
    ]
}
"""A stack's policy under which nothing of it is replaced or removed."""
_CURES = {
    "ROLLBACK_COMPLETE": "it could not be made, and nothing of it is left: "
    "`aws cloudformation delete-stack --stack-name {name}`, then again",
    "ROLLBACK_FAILED": "it could not be made: look at its events in the console of CloudFormation, "
    "then `aws cloudformation delete-stack --stack-name {name}`",
    "DELETE_FAILED": "it could not be deleted: look at its events in the console of "
    "CloudFormation, then `aws cloudformation delete-stack --stack-name {name}`",
    "UPDATE_ROLLBACK_FAILED": "mend what its events name, then "
    "`aws cloudformation continue-update-rollback --stack-name {name}`",
}


@dataclass(frozen=True, slots=True)
class Stack:
    """A stack as it is now."""

    name: str
    status: str
    parameters: Mapping[str, str]
    outputs: Mapping[str, str]
    changed_at: datetime

    @property
    def is_busy(self) -> bool:
        """Whether CloudFormation is at work on it."""
        return self.status.endswith("_IN_PROGRESS") and self.status not in _UNMADE

    @property
    def is_made(self) -> bool:
        """Whether it is there, and not only thought of."""
        return self.status not in _UNMADE


@dataclass(frozen=True, slots=True)
class Change:
    """What becomes of one resource."""

    stack: str
    action: str
    """add, modify, replace, maybe replace or remove."""
    name: str
    type: str
    because: str = ""
    """The properties that differ."""

    def facts(self) -> dict[str, str]:
        """Return it for programs."""
        return asdict(self)

    @property
    def loses(self) -> bool:
        """Whether what the resource holds is not in its place any more."""
        return self.action in ("replace", "remove")


@dataclass(frozen=True, slots=True)
class Proposal:
    """A change set: what AWS would do. It waits to be carried out or withdrawn."""

    part: str
    id: str
    makes: bool
    """Whether the stack is not there yet."""
    changes: tuple[Change, ...]


class Stacks:
    """The stacks `barbeque-INSTALLATION-PART`.

    Raises `NotAllowed`, `Refused` and `Unusable` of `aws_asking`, and `Failure` with the cure.
    """

    def __init__(self, installation: str, region: str | None, *, pause: float = _PAUSE) -> None:
        self._installation = installation
        self._client = open_client(
            "cloudformation", region=region, connections=2, patience=_PATIENCE
        )
        self._pause = pause
        self.region = str(self._client.meta.region_name)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def name_of(self, part: str) -> str:
        """Return what the stack is called."""
        return f"barbeque-{self._installation}-{part}"

    def look(self, part: str) -> Stack | None:
        """Return the stack, None where there is none."""
        try:
            answer = ask(self._client.describe_stacks, StackName=self.name_of(part))
        except Refused as error:
            if "does not exist" not in str(error):
                raise
            return None
        found = answer["Stacks"][0]
        return Stack(
            name=found["StackName"],
            status=found["StackStatus"],
            parameters={
                each["ParameterKey"]: each.get("ParameterValue", "")
                for each in found.get("Parameters", [])
            },
            outputs={each["OutputKey"]: each["OutputValue"] for each in found.get("Outputs", [])},
            changed_at=found.get("LastUpdatedTime") or found["CreationTime"],
        )

    def propose(
        self, part: str, body: str, parameters: Mapping[str, str], *, because: str
    ) -> Proposal | None:
        """Make a change set; None where nothing would change."""
        there = self.look(part)
        if there is not None:
            _refuse_unfit(there)
        makes = there is None or not there.is_made
        answer = _ask_for_changes(
            self._client.create_change_set,
            StackName=self.name_of(part),
            ChangeSetName=f"barbeque-{uuid.uuid4().hex[:12]}",
            ChangeSetType="CREATE" if makes else "UPDATE",
            Description=because,
            TemplateBody=body,
            Parameters=[
                {"ParameterKey": name, "ParameterValue": value}
                for name, value in sorted(parameters.items())
            ],
            Capabilities=["CAPABILITY_IAM"],
            Tags=[{"Key": "barbeque.installation", "Value": self._installation}],
        )
        if answer is None:
            return None
        return self._proposed(part, str(answer["Id"]), makes=makes)

    def _proposed(self, part: str, number: str, *, makes: bool) -> Proposal | None:
        while True:
            found = ask(
                self._client.describe_change_set,
                ChangeSetName=number,
                StackName=self.name_of(part),
            )
            if not found["Status"].endswith(("_IN_PROGRESS", "_PENDING")):
                break
            time.sleep(self._pause)
        if found["Status"] == "FAILED":
            reason = str(found.get("StatusReason", "CloudFormation did not say why"))
            self.withdraw(Proposal(part, number, makes, ()))
            if any(words in reason for words in _NOTHING_NEW):
                return None
            raise Failure(f"the changes of {self.name_of(part)} can't be made: {reason}")
        changes = tuple(_change(part, each) for each in self._changes(part, number, found))
        return Proposal(part, number, makes, changes)

    def _changes(self, part: str, number: str, found: Mapping[str, Any]) -> Iterator[Any]:
        while True:
            yield from found.get("Changes", [])
            token = found.get("NextToken")
            if not token:
                return
            found = ask(
                self._client.describe_change_set,
                ChangeSetName=number,
                StackName=self.name_of(part),
                NextToken=token,
            )

    def withdraw(self, proposal: Proposal) -> None:
        """Forget a change set, and the empty stack that was thought of for it."""
        name = self.name_of(proposal.part)
        ask(self._client.delete_change_set, ChangeSetName=proposal.id, StackName=name)
        if proposal.makes:
            ask(self._client.delete_stack, StackName=name)

    def carry_out(self, proposal: Proposal, tell: Tell) -> Stack:
        """Do it, and wait for the end."""
        begun, name = clock.now(), self.name_of(proposal.part)
        ask(self._client.execute_change_set, ChangeSetName=proposal.id, StackName=name)
        there = self._follow(proposal.part, begun, tell)
        if there is None or there.status not in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
            status = "gone" if there is None else there.status
            raise Failure(f"{name} is {status}: {self._why(name, begun)}")
        return there

    def delete(self, part: str, tell: Tell) -> None:
        """Delete the stack, if it is there, and wait for the end."""
        if self.look(part) is None:
            return
        begun, name = clock.now(), self.name_of(part)
        ask(self._client.delete_stack, StackName=name)
        there = self._follow(part, begun, tell)
        if there is not None and there.status != "DELETE_COMPLETE":
            raise Failure(f"{name} is {there.status}: {self._why(name, begun)}")

    def protect(self, part: str) -> None:
        """Let nothing of the stack be replaced or removed by any change."""
        policy = json.dumps(_NO_LOSS)
        ask(self._client.set_stack_policy, StackName=self.name_of(part), StackPolicyBody=policy)

    def _follow(self, part: str, begun: datetime, tell: Tell) -> Stack | None:
        """Tell what happens until CloudFormation is done."""
        seen: set[str] = set()
        while True:
            there = self.look(part)
            for event in self._events(self.name_of(part), begun):
                if event["EventId"] not in seen:
                    seen.add(event["EventId"])
                    tell(f"{part:<9} {event['ResourceStatus']:<20} {event['LogicalResourceId']}")
            if there is None or not there.is_busy:
                return there
            time.sleep(self._pause)

    def _events(self, name: str, since: datetime) -> list[dict[str, Any]]:
        """Return what happened since then, the oldest first."""
        try:
            found = ask(self._client.describe_stack_events, StackName=name)["StackEvents"]
        except Refused:
            return []  # it is gone
        return [
            each for each in reversed(found) if each["Timestamp"] >= since.replace(microsecond=0)
        ]

    def _why(self, name: str, since: datetime) -> str:
        """Return the first thing that failed."""
        for event in self._events(name, since):
            reason = str(event.get("ResourceStatusReason", ""))
            if event["ResourceStatus"].endswith("_FAILED") and _CANCELLED not in reason:
                return f"{event['LogicalResourceId']} ({event['ResourceType']}): {reason}"
        return "its events in the console of CloudFormation say more"


def _ask_for_changes(call: Callable[..., Any], **request: Any) -> Any:
    """Return the answer, None where there is nothing to change and that is said at once."""
    try:
        return ask(call, **request)
    except Refused as error:
        if any(words in str(error) for words in _NOTHING_NEW):
            return None
        raise


def _refuse_unfit(there: Stack) -> None:
    if there.is_busy:
        raise Failure(
            f"{there.name} is {there.status}: wait until CloudFormation is done with it; "
            "`barbeque deploy aws status` tells"
        )
    cure = _CURES.get(there.status)
    if cure is not None:
        raise Failure(f"{there.name} is {there.status}: {cure.format(name=there.name)}")


def _change(part: str, said: Mapping[str, Any]) -> Change:
    found = said["ResourceChange"]
    action = str(found["Action"]).lower()
    if action == "modify":
        action = {"True": "replace", "Conditional": "maybe replace"}.get(
            found.get("Replacement", ""), action
        )
    targets = [each.get("Target", {}) for each in found.get("Details", [])]
    names = {str(each.get("Name") or each.get("Attribute") or "") for each in targets}
    because = ", ".join(sorted(names - {""}))
    return Change(part, action, found["LogicalResourceId"], found["ResourceType"], because)
