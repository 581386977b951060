"""A deployment: which stacks are to be, with which parameters, and what was deployed before."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from barbeque_py import clock
from barbeque_py.aws import open_client
from barbeque_py.cli.aws_asking import ask
from barbeque_py.cli.aws_stacks import Proposal, Stack, Stacks
from barbeque_py.cli.aws_templates import Template, read_template
from barbeque_py.cli.exits import Code, Failure
from barbeque_py.spelling import nearest

_RECORDS = "deployments/"
_MOVING = ("cluster", "services")
"""The stacks that have an image, and that go back."""


@dataclass(frozen=True, slots=True)
class Step:
    """One stack on the way: what would change there, or why that can't be known yet."""

    template: Template
    proposal: Proposal | None
    waits_for: str = ""
    """The stack that must be made before; empty when this one's changes are known."""


class Deployment:
    """What is said about one installation, and what there is of it."""

    def __init__(
        self,
        installation: str,
        stacks: Stacks,
        templates: Sequence[Template],
        said: Mapping[str, str] | None = None,
        *,
        image: str | None = None,
    ) -> None:
        """`said` are parameters; what is not said stays as it is."""
        self._installation = installation
        self._stacks = stacks
        self._templates = tuple(templates)
        self._said = dict(said or {})
        self._image = image
        self._there: dict[str, Stack | None] = {}
        self._check_names()

    @property
    def parts(self) -> list[str]:
        """The stacks there can be, in their order."""
        return [each.name for each in self._templates]

    @property
    def has_image(self) -> bool:
        """Whether an image is named, or was."""
        return self._image is not None or self.look("cluster") is not None

    def _check_names(self) -> None:
        known = {name for each in self._templates for name in each.parameters}
        known -= {"Installation", "Image"}
        for name in self._said:
            if name not in known:
                meant = nearest(name, known)
                cure = f"did you mean {meant}?" if meant else "docs/aws.md lists them"
                raise Failure(f"there is no parameter {name}: {cure}", Code.USAGE)

    def look(self, part: str, *, anew: bool = False) -> Stack | None:
        """Return a stack that is made, None without it."""
        if anew or part not in self._there:
            found = self._stacks.look(part)
            self._there[part] = found if found is not None and found.is_made else None
        return self._there[part]

    def steps(self) -> Iterator[Step]:
        """Yield the stacks in their order, each with its change set, made when it is asked for."""
        waits_for = ""
        for template in self._wanted():
            missing = waits_for or self._missing_before(template)
            if missing:
                waits_for = missing
                yield Step(template, None, waits_for=missing)
                continue
            parameters = self.parameters_of(template)
            proposal = self._stacks.propose(
                template.name, template.body, parameters, because="barbeque deploy aws"
            )
            yield Step(template, proposal)

    def _wanted(self) -> list[Template]:
        """Leave the network out where there is another one."""
        has_own = self.look("network") is not None
        elsewhere = "VpcId" in self._said or (self.look("data") is not None and not has_own)
        return [each for each in self._templates if each.name != "network" or not elsewhere]

    def _missing_before(self, template: Template) -> str:
        """Return the stack whose outputs this one needs, if it is not made."""
        for before in self._wanted():
            if before.name == template.name:
                return ""
            needed = before.outputs.keys() & template.parameters.keys()
            if needed - self._said.keys() and self.look(before.name) is None:
                return before.name
        return ""

    def parameters_of(self, template: Template) -> dict[str, str]:
        """Return what the stack is to be given. Raises `Failure` for what must be said and is not.

        What is said goes first, then outputs of stacks before it, then what it has, then what
        another stack has.
        """
        own = self.look(template.name)
        had = dict(own.parameters) if own is not None else {}
        known = {**self.values(), **had, **self._outputs_before(template), **self._said}
        known["Installation"] = self._installation
        if self._image is not None:
            known["Image"] = self._image
        for name, facts in template.parameters.items():
            if name not in known and "Default" not in facts:
                raise Failure(_missing(name, str(facts["Description"])), Code.USAGE)
        return _given(template, known)

    def _outputs_before(self, template: Template) -> dict[str, str]:
        found: dict[str, str] = {}
        for before in self._templates:
            if before.name == template.name:
                break
            there = self.look(before.name)
            found |= there.outputs if there is not None else {}
        return found

    def values(self) -> dict[str, str]:
        """Return every parameter and output of the stacks that there are."""
        found: dict[str, str] = {}
        for template in self._templates:
            there = self.look(template.name)
            if there is not None:
                found |= {**there.parameters, **there.outputs}
        return found

    # --- What was deployed before ---

    def record(self) -> str:
        """Keep what is deployed now in the bucket, so that one can go back to it."""
        found: dict[str, Any] = {"at": clock.rfc3339(clock.now()), "stacks": {}}
        for template in self._templates:
            there = self.look(template.name, anew=True)
            if template.name in _MOVING and there is not None:
                found["stacks"][template.name] = {
                    "template": template.body,
                    "parameters": dict(there.parameters),
                }
        key = f"{_RECORDS}{found['at']}.json"
        with closing(self._open_s3()) as s3:
            ask(s3.put_object, Bucket=self._bucket(), Key=key, Body=json.dumps(found).encode())
        return key

    def records(self) -> list[dict[str, Any]]:
        """Return what was deployed, the newest first."""
        with closing(self._open_s3()) as s3:
            answer = ask(s3.list_objects_v2, Bucket=self._bucket(), Prefix=_RECORDS)
            keys = sorted((each["Key"] for each in answer.get("Contents", [])), reverse=True)
            return [_read(s3, self._bucket(), key) for key in keys]

    def former(self, at: str | None) -> dict[str, Any]:
        """Return what was deployed at that time, or before what is deployed now.

        Raises `Failure` where there is no such thing.
        """
        found = self.records()
        if at is not None:
            matching = [each for each in found if str(each["at"]).startswith(at)]
            if len(matching) == 1:
                return matching[0]
            times = ", ".join(str(each["at"]) for each in found[:5])
            raise Failure(f"{at!r} names no deployment: there are {times}", Code.NOT_FOUND)
        now = found[0]["stacks"] if found else None
        for each in found[1:]:
            if each["stacks"] != now:
                return each
        raise Failure("there is no deployment before this one to go back to", Code.NOT_FOUND)

    def back_to(self, former: Mapping[str, Any]) -> Iterator[Step]:
        """Yield the stacks that go back, each with its change set; data and network stay."""
        for template in self._templates:
            record = former["stacks"].get(template.name)
            if record is None:
                continue
            was = read_template(template.name, record["template"])
            parameters = _given(was, {**record["parameters"], **self._outputs_before(template)})
            because = f"barbeque deploy aws rollback to {former['at']}"
            proposal = self._stacks.propose(was.name, was.body, parameters, because=because)
            yield Step(was, proposal)

    def _bucket(self) -> str:
        data = self.look("data")
        if data is None:
            raise Failure(
                f"{self._stacks.name_of('data')} is not there: `barbeque deploy aws apply "
                f"{self._installation}` makes it",
                Code.NOT_FOUND,
            )
        return data.outputs["Bucket"]

    def _open_s3(self) -> Any:
        return open_client("s3", region=self._stacks.region, connections=2, patience=30.0)


def _given(template: Template, known: Mapping[str, str]) -> dict[str, str]:
    """Return what of the known the template asks for and does not have by itself."""
    return {
        name: known[name]
        for name, facts in template.parameters.items()
        if name in known and known[name] != str(facts.get("Default"))
    }


def _read(s3: Any, bucket: str, key: str) -> dict[str, Any]:
    body = ask(s3.get_object, Bucket=bucket, Key=key)["Body"].read()
    return dict(json.loads(body))


def _missing(name: str, description: str) -> str:
    if name == "Image":
        return "no image is named: push one to the repository, and say --image REPOSITORY:TAG"
    return f"the parameter {name} must be said, as in --set {name}=VALUE: {description}"
