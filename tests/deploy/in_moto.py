"""The templates as moto can make them: without what it does not know, or can't work out."""

import json
import re
from typing import Any

from barbeque_py.cli.aws_templates import Template

SECRET = "AWS::SecretsManager::Secret"
SKIPPED = frozenset(
    {
        "AWS::ApplicationAutoScaling::ScalableTarget",
        "AWS::ApplicationAutoScaling::ScalingPolicy",
        "AWS::CloudWatch::Alarm",
        "AWS::S3::BucketPolicy",
        "AWS::SNS::TopicPolicy",
        "AWS::SQS::QueuePolicy",
        SECRET,
        "AWS::ServiceDiscovery::PrivateDnsNamespace",
        "AWS::ServiceDiscovery::Service",
    }
)
"""Types of which moto 5.2 makes nothing, silently."""
_UNKNOWN = {
    "AWS::ECS::Service": "ServiceRegistries",  # refers to what moto skips
    "AWS::RDS::DBInstance": "DBParameterGroupName",  # moto takes the group itself for its name
}


def body_for_moto(template: Template, secret: str, command: str) -> str:
    """Return the template as JSON, less what moto fails at.

    Every secret is the one with that ARN. `command` is what the image begins with: the simulated
    ECS runs processes, and knows no images.
    """
    parsed: dict[str, Any] = json.loads(json.dumps(template.parsed))
    secrets = [name for name, each in parsed["Resources"].items() if each["Type"] == SECRET]
    for name in secrets:
        del parsed["Resources"][name]
    for each in parsed["Resources"].values():
        each["Properties"].pop(_UNKNOWN.get(each["Type"]), None)
        for container in each["Properties"].get("ContainerDefinitions", []):
            container["EntryPoint"] = [command]
    for each in parsed["Parameters"].values():
        if each["Type"].startswith("AWS::SSM::"):
            each["Type"] = "String"  # moto tells the value that it found in place of the name
    text = json.dumps(parsed)
    for name in secrets:
        text = text.replace(json.dumps({"Ref": name}), json.dumps(secret))
        text = re.sub(r"\$\{" + name + r"\}", secret, text)
    return text
