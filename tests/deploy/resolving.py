"""What a template says once its parameters are known: CloudFormation's functions, worked out."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from barbeque_py.cli.aws_templates import Template

PSEUDO = {
    "AWS::AccountId": "123456789012",
    "AWS::Partition": "aws",
    "AWS::Region": "us-east-1",
    "AWS::URLSuffix": "amazonaws.com",
}
GONE = object()
"""Stands where `AWS::NoValue` was."""
_VARIABLE = re.compile(r"\$\{([^}!]+)\}")


@dataclass
class Resolved:
    """A template with its parameters; of what it makes, only names are known: `<Bucket>`."""

    template: Template
    given: Mapping[str, str]

    def resource(self, name: str) -> dict[str, Any]:
        """Return a resource's properties, worked out."""
        found = self.work_out(self.template.resources[name].get("Properties", {}))
        assert isinstance(found, dict)
        return found

    def of_type(self, kind: str) -> dict[str, dict[str, Any]]:
        """Return the resources of a type that the conditions let be."""
        return {
            name: self.resource(name)
            for name, each in self.template.resources.items()
            if each["Type"] == kind and self.is_made(name)
        }

    def is_made(self, name: str) -> bool:
        """Tell whether the resource's condition holds."""
        condition = self.template.resources[name].get("Condition")
        return condition is None or self._holds({"Condition": condition})

    def work_out(self, value: Any) -> Any:
        """Return the value without functions in it."""
        if isinstance(value, list):
            worked = [self.work_out(each) for each in value]
            return [each for each in worked if each is not GONE]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            name, argument = next(iter(value.items()))
            function = getattr(self, f"_{name.removeprefix('Fn::').lower()}", None)
            if function is not None and (name == "Ref" or name.startswith("Fn::")):
                return function(argument)
        worked_out = {key: self.work_out(each) for key, each in value.items()}
        return {key: each for key, each in worked_out.items() if each is not GONE}

    def _ref(self, name: str) -> Any:
        if name == "AWS::NoValue":
            return GONE
        parameter = self.template.parameters.get(name)
        if parameter is not None:
            said = self.given.get(name, parameter.get("Default", f"<{name}>"))
            is_list = parameter["Type"].startswith(("List", "CommaDelimited"))
            return str(said).split(",") if is_list else str(said)
        return PSEUDO.get(name, f"<{name}>")

    def _getatt(self, path: list[str]) -> str:
        return f"<{'.'.join(path)}>"

    def _sub(self, argument: Any) -> str:
        text, more = argument if isinstance(argument, list) else (argument, {})
        known = {name: self.work_out(each) for name, each in more.items()}

        def value(found: re.Match[str]) -> str:
            name = found[1]
            if name in known:
                return str(known[name])
            return f"<{name}>" if "." in name else str(self._ref(name))

        return _VARIABLE.sub(value, text)

    def _join(self, argument: list[Any]) -> str:
        return str(argument[0]).join(self.work_out(argument[1]))

    def _if(self, argument: list[Any]) -> Any:
        holds = self._holds({"Condition": argument[0]})
        return self.work_out(argument[1] if holds else argument[2])

    def _findinmap(self, argument: list[Any]) -> Any:
        at = self.template.parsed["Mappings"]
        for key in argument:
            at = at[self.work_out(key)]
        return at

    def _base64(self, argument: Any) -> Any:
        return self.work_out(argument)

    def _holds(self, condition: Any) -> bool:
        name, argument = next(iter(condition.items()))
        if name == "Condition":
            return self._holds(self.template.parsed["Conditions"][argument])
        if name == "Fn::Not":
            return not self._holds(argument[0])
        assert name == "Fn::Equals", f"{name} is not known here"
        left, right = (self.work_out(each) for each in argument)
        return bool(left == right)
