"""Asking AWS without changing anything: who we are, and what its answers tell of permissions."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import cached_property
from typing import Any

from barbeque_py import clock
from barbeque_py.aws import FAILURES, code_of, explain, is_definite, lacks_credentials, open_client
from barbeque_py.errors import BarbequeError

PATIENCE = 5.0
"""Seconds to wait for one answer."""

_TRIES = 2
_DENIED = frozenset(
    {
        "403",
        "AccessDenied",
        "AccessDeniedException",
        "AllAccessDisabled",
        "AuthorizationError",
        "UnauthorizedOperation",
    }
)
_STRANGERS = frozenset(
    {
        "AuthFailure",
        "ExpiredToken",
        "ExpiredTokenException",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "RequestTimeTooSkewed",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)
"""Codes that say that AWS does not know who asks, so that any other call would fail, too."""


class NotAllowed(BarbequeError):
    """The role may not do it."""


class Refused(BarbequeError):
    """AWS let the role in, and refused what was asked for."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code


class Unusable(BarbequeError):
    """The service can't be reached, or does not know who asks: asking more is of no use."""


class NoCredentials(Unusable):
    """There is nothing to ask with."""


def open_asker(service: str, region: str | None) -> Any:
    """Return a client that soon gives up. Raises `ConfigurationError` without a Region."""
    return open_client(service, region=region, connections=2, patience=PATIENCE, tries=_TRIES)


def ask(call: Callable[..., Any], **request: Any) -> Any:
    """Return the answer; raises `NotAllowed`, `Refused` and `Unusable`."""
    try:
        return call(**request)
    except FAILURES as error:
        code = code_of(error).rpartition(".")[2] or code_of(error)
        if code in _DENIED:
            raise NotAllowed(explain(error)) from error
        if lacks_credentials(error):
            raise NoCredentials(explain(error)) from error
        if not is_definite(error) or code in _STRANGERS:
            raise Unusable(explain(error)) from error
        raise Refused(explain(error), code_of(error)) from error


def look(call: Callable[..., Any], **request: Any) -> Any:
    """Return the answer, None where the role may not look or nobody answers; raises `Refused`."""
    try:
        return ask(call, **request)
    except (NotAllowed, Unusable):
        return None


@dataclass(frozen=True, slots=True)
class Trial:
    """A call that changes nothing, and the permission that it needs."""

    action: str
    call: Callable[..., Any]
    request: Mapping[str, Any]


def denied(trials: Sequence[Trial]) -> list[str]:
    """Make the calls; return the actions that the role may not do. Raises `Unusable`."""
    found = []
    for trial in trials:
        try:
            ask(trial.call, **trial.request)
        except NotAllowed:
            found.append(trial.action)
        except Refused:
            continue  # it was let in: the request itself asks for what there is not
    return found


@dataclass(frozen=True)
class Caller:
    """Who asks, as AWS knows it."""

    arn: str
    account: str
    region: str
    skew: timedelta | None
    """How far this machine's clock is ahead of AWS's, to a second; None where that is not told."""

    @property
    def partition(self) -> str:
        """The part of AWS: aws, aws-cn and so on."""
        return self.arn.split(":")[1]

    def arn_of(self, service: str, name: str, region: str | None = None) -> str:
        """Return the ARN of something in our account, in our Region or another."""
        where = "" if service == "iam" else region or self.region
        return f"arn:{self.partition}:{service}:{where}:{self.account}:{name}"

    def refused(
        self,
        actions: Sequence[str],
        resources: Sequence[str],
        context: Mapping[str, str] | None = None,
    ) -> list[str] | None:
        """Return those of the actions that IAM's simulation does not allow; None without it.

        What hangs on a condition that is not given counts as allowed.
        """
        entries = [
            {"ContextKeyName": key, "ContextKeyValues": [value], "ContextKeyType": "string"}
            for key, value in (context or {}).items()
        ]
        try:
            answer = look(
                self._iam.simulate_principal_policy,
                PolicySourceArn=self._principal,
                ActionNames=list(actions),
                ResourceArns=list(resources),
                ContextEntries=entries,
            )
        except Refused:
            return None
        if answer is None:
            return None
        return [
            each["EvalActionName"]
            for each in answer["EvaluationResults"]
            if each["EvalDecision"] != "allowed" and not each.get("MissingContextValues")
        ]

    def role(self, name: str) -> dict[str, Any] | None:
        """Return the role with this name or ARN, None where we may not look; raises `Refused`."""
        answer = look(self._iam.get_role, RoleName=name.rpartition("/")[2])
        return None if answer is None else dict(answer["Role"])

    @cached_property
    def _iam(self) -> Any:
        return open_asker("iam", self.region)

    @cached_property
    def _principal(self) -> str:
        """The user or role whose policies hold: a session has those of its role."""
        if ":assumed-role/" not in self.arn:
            return self.arn
        name = self.arn.split("/")[1]
        try:
            role = self.role(name)
        except Refused:
            role = None
        return self.arn_of("iam", f"role/{name}") if role is None else str(role["Arn"])


def who_asks(region: str | None) -> Caller:
    """Return who we are; no permission is needed. Raises what `open_asker` and `ask` raise."""
    client = open_asker("sts", region)
    try:
        answer = ask(client.get_caller_identity)
    finally:
        client.close()
    headers = answer["ResponseMetadata"].get("HTTPHeaders", {})
    return Caller(answer["Arn"], answer["Account"], client.meta.region_name, _skew(headers))


def _skew(headers: Mapping[str, str]) -> timedelta | None:
    if "date" not in headers:
        return None
    told: datetime = parsedate_to_datetime(headers["date"])
    return clock.now() - told
