"""The templates as moto can make them: without what it does not know, or can't work out."""

import json
import re
from typing import Any

from barbeque_py.cli.aws_templates import Template

SKIPPED = frozenset(
    {
        "AWS::ApplicationAutoScaling::ScalableTarget",
        "AWS::ApplicationAutoScaling::ScalingPolicy",
        "AWS::CloudWatch::Alarm",
        "AWS::S3::BucketPolicy",
        "AWS::SNS::TopicPolicy",
        "AWS::SQS::QueuePolicy",
        "AWS::SecretsManager::Secret",
        "AWS::ServiceDiscovery::PrivateDnsNamespace",
        "AWS::ServiceDiscovery::Service",
    }
)
"""Types of which moto 5.2 makes nothing, silently."""
_NAMED = frozenset({"AWS::SecretsManager::Secret"})
"""Those to which others refer: they get an ARN that looks like one."""
_UNKNOWN = {
    "AWS::ECS::Service": "ServiceRegistries",  # refers to what moto skips
    "AWS::RDS::DBInstance": "DBParameterGroupName",  # moto takes the group itself for its name
}


def body_for_moto(template: Template) -> str:
    """Return the template as JSON, less what moto fails at."""
    parsed: dict[str, Any] = json.loads(json.dumps(template.parsed))
    named = []
    for name, each in list(parsed["Resources"].items()):
        if each["Type"] in _UNKNOWN:
            each["Properties"].pop(_UNKNOWN[each["Type"]], None)
        if each["Type"] in _NAMED:
            named.append(name)
            del parsed["Resources"][name]
    text = json.dumps(parsed)
    for name in named:
        arn = f"arn:aws:secretsmanager:us-east-1:123456789012:secret:{name}-AbCdEf"
        text = text.replace(json.dumps({"Ref": name}), json.dumps(arn))
        text = re.sub(r"\$\{" + name + r"\}", arn, text)
    return text
