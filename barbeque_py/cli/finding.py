"""What `barbeque check` finds: one sentence about one subject, with its cure."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass

from barbeque_py.errors import BarbequeError

OK, NOTE, WARNING, FAULT = "ok", "note", "warning", "fault"


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found about one subject; the sentence has the cure where one is needed."""

    level: str
    subject: str
    sentence: str

    def facts(self) -> dict[str, str]:
        """Return the finding for programs."""
        return asdict(self)


def attempt(subject: str, look: Callable[[], Finding]) -> Finding:
    """Return what the look finds, or what kept it from looking as a fault."""
    try:
        return look()
    except BarbequeError as error:
        return Finding(FAULT, subject, str(error))


def attempt_all(subject: str, look: Callable[[], Iterable[Finding]]) -> Iterator[Finding]:
    """Yield what the look finds, up to what kept it from looking on, as a fault."""
    try:
        yield from look()
    except BarbequeError as error:
        yield Finding(FAULT, subject, str(error))


def listed(names: Iterable[str], *, most: int = 5) -> str:
    """Return the names with commas between; of many the first few, and how many more there are."""
    every = list(names)
    more = f" and {len(every) - most} more" if len(every) > most else ""
    return ", ".join(every[:most]) + more
