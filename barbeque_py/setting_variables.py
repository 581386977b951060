"""What a setting is: a variable of the environment, what it means, and how its text is read."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from barbeque_py.errors import ConfigurationError
from barbeque_py.spelling import nearest

GIVEN_TO_JOBS = frozenset(
    {
        "BARBEQUE_APP",
        "BARBEQUE_ATTEMPT_ID",
        "BARBEQUE_JOB",
        "BARBEQUE_MESSAGE",
        "BARBEQUE_MESSAGE_ID",
        "BARBEQUE_MESSAGE_URL",
        "BARBEQUE_PROGRESS_FILE",
        "BARBEQUE_PROGRESS_URL",
        "BARBEQUE_QUEUE_NAME",
        "BARBEQUE_RESULT_FILE",
        "BARBEQUE_RESULT_URL",
        "BARBEQUE_RETRY_COUNT",
        "BARBEQUE_SENT_TIMESTAMP",
    }
)
"""What a job finds in its environment: not settings, and no reason for a warning."""

FORMER = {
    "BARBEQUE_LOG_TO_STDOUT": "logs of the worker always go to standard error",
    "BARBEQUE_MAX_RETRY_DELAY": "it is a setting of barbeque_client, or retry.max_delay of a job",
    "BARBEQUE_S3_BUCKET_NAME": "BARBEQUE_LOGS says where logs are kept",
    "BARBEQUE_SQS_NAME_PREFIX": "BARBEQUE_BROKER says what carries messages",
    "BARBEQUE_WORKER_NUM": "BARBEQUE_EXECUTOR says how much runs at once, as in docker:?slots=8",
}
"""Barbeque's settings that we have not, with what takes their place."""


@dataclass(frozen=True, slots=True)
class Variable:
    """What a setting is called, what it means, and how its text is read."""

    name: str
    default: str
    """The text that stands for an unset variable; empty where that means: not set."""
    meaning: str
    example: str
    read: Callable[[str], Any]
    show: Callable[[str], str] = str
    """Makes the text fit to be shown: takes secrets out."""
    instead: str = ""
    """Another variable, which is read where this one is unset."""

    def text(self, given: Mapping[str, str], *, home: str) -> str:
        """Return its text: what was given, else the default."""
        said = given.get(self.name) or given.get(self.instead)
        return said or self.default.replace("{home}", home)

    def value(self, given: Mapping[str, str], *, home: str) -> Any:
        """Return what its text says, None where there is none. Raises `ConfigurationError`."""
        text = self.text(given, home=home)
        if not text:
            return None
        try:
            if not text.isprintable():
                raise ValueError("it has control characters or is not UTF-8; type it again")  # noqa: TRY301
            return self.read(text)
        except ValueError as error:
            shown = ascii(self.show(text))
            raise ConfigurationError(f"{self.name} is {shown}: {error}") from None


def hide(_: str) -> str:
    """Return what is shown of a secret."""
    return "***"


def setting(
    name: str, default: str, meaning: str, *, example: str, read: Callable[[str], Any], **show: Any
) -> Any:
    """Return a dataclass's field that is read from the variable."""
    return field(metadata={"variable": Variable(name, default, meaning, example, read, **show)})


def read_all(variables: Mapping[str, Variable], given: Mapping[str, str]) -> dict[str, Any]:
    """Return what every variable says, by its field, and as `shown` their texts without secrets."""
    home = str(variables["home"].value(given, home=""))
    texts = {name: each.text(given, home=home) for name, each in variables.items()}
    read = {name: each.value(given, home=home) for name, each in variables.items()}
    in_force = {name: each for name, each in variables.items() if texts[name]}
    read["shown"] = tuple((each.name, each.show(texts[name])) for name, each in in_force.items())
    return read


def warn_of(variables: Mapping[str, Variable], given: Mapping[str, str]) -> tuple[str, ...]:
    """Name what looks like a setting and is none."""
    known = {each.name for each in variables.values()}
    strange = sorted(
        n for n in given if n.startswith("BARBEQUE_") and n not in known | GIVEN_TO_JOBS
    )
    return tuple(_warning(name, known) for name in strange)


def warn_of_aws(variables: Mapping[str, Variable], of_file: Mapping[str, str]) -> tuple[str, ...]:
    """Name what stands in a file of settings in vain: AWS's SDK reads the environment itself."""
    region = variables["aws_region"]
    known = {region.name, region.instead}
    strange = sorted(n for n in of_file if n.startswith("AWS_") and n not in known)
    return tuple(f"{name} does nothing in a file: set it in the environment" for name in strange)


def _warning(name: str, known: set[str]) -> str:
    if name in FORMER:
        return f"{name} is not used any more: {FORMER[name]}"
    meant = nearest(
        name.removeprefix("BARBEQUE_"), (each.removeprefix("BARBEQUE_") for each in known)
    )
    return f"{name} is not a setting" + (f"; did you mean BARBEQUE_{meant}?" if meant else "")
