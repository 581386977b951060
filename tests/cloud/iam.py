"""IAM's simulation, which moto has not: it knows what the front's faults deny, and nothing else."""

from collections.abc import Callable
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

Denies = Callable[[str, str], bool]
"""Tells whether the caller's role may not do an operation of a service."""

_IAM = "https://iam.amazonaws.com/doc/2010-05-08/"


def simulate(form: bytes, denies: Denies) -> str:
    """Answer SimulatePrincipalPolicy as IAM does."""
    asked = parse_qs(form.decode())
    actions = [value[0] for key, value in asked.items() if key.startswith("ActionNames.member.")]
    results = "".join(_result(action, denies) for action in actions)
    return (
        f'<SimulatePrincipalPolicyResponse xmlns="{_IAM}"><SimulatePrincipalPolicyResult>'
        f"<IsTruncated>false</IsTruncated><EvaluationResults>{results}</EvaluationResults>"
        "</SimulatePrincipalPolicyResult><ResponseMetadata><RequestId>0</RequestId>"
        "</ResponseMetadata></SimulatePrincipalPolicyResponse>"
    )


def _result(action: str, denies: Denies) -> str:
    service, _, operation = action.partition(":")
    decision = "implicitDeny" if denies(service, operation) else "allowed"
    return (
        f"<member><EvalActionName>{escape(action)}</EvalActionName>"
        f"<EvalResourceName>*</EvalResourceName><EvalDecision>{decision}</EvalDecision>"
        "<MatchedStatements/><MissingContextValues/></member>"
    )
