"""What moto's CloudFormation forgets, and AWS's does not.

Of a change set that is carried out it forgets parameters, outputs and conditions; of a task
definition all but its containers, in whose lists it leaves nothing in place of what is not there.
"""

from typing import Any

from moto.cloudformation.models import ChangeSet
from moto.core.utils import pascal_to_camelcase, remap_nested_keys
from moto.ecs.models import TaskDefinition, ecs_backends

from tests.cloud.service import Json


def mend_cloudformation() -> None:
    """Have moto remember it."""
    ChangeSet.apply = _apply  # type: ignore[method-assign]
    definition: Any = TaskDefinition
    definition.create_from_cloudformation_json = _register
    definition.update_from_cloudformation_json = _register_anew


def _apply(self: ChangeSet) -> None:
    """Do as moto does when a stack is made or updated at once."""
    stack = self.stack
    if self.change_set_type == "UPDATE":
        stack.update(self.template, role_arn=self.role_arn, parameters=self.parameters)
        return
    stack.template = self.template
    stack.parameters = self.parameters
    stack._parse_template()
    stack.resource_map = stack._create_resource_map()
    stack.create_resources()
    stack.output_map = stack._create_output_map()


def _register(
    resource_name: str, cloudformation_json: Json, account_id: str, region_name: str, **_: Any
) -> TaskDefinition:
    said = _without_nothing(
        remap_nested_keys(cloudformation_json["Properties"], pascal_to_camelcase)
    )
    return ecs_backends[account_id][region_name].register_task_definition(
        family=said.get("family", resource_name),
        container_definitions=said["containerDefinitions"],
        volumes=said.get("volumes"),
        network_mode=said.get("networkMode"),
        requires_compatibilities=said.get("requiresCompatibilities"),
        cpu=said.get("cpu"),
        memory=said.get("memory"),
        task_role_arn=said.get("taskRoleArn"),
        execution_role_arn=said.get("executionRoleArn"),
        runtime_platform=said.get("runtimePlatform"),
    )


def _register_anew(*, new_resource_name: str, **said: Any) -> TaskDefinition:
    del said["original_resource"]
    return _register(new_resource_name, **said)


def _without_nothing(value: Any) -> Any:
    """Return the value without what `AWS::NoValue` has left in lists."""
    if isinstance(value, dict):
        return {name: _without_nothing(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_without_nothing(each) for each in value if each is not None]
    return value
