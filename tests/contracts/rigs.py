"""What the executor's contract suite needs of an implementation, and its words for waiting."""

from collections.abc import Iterator
from typing import Protocol, TypeVar

from barbeque_py.executor import Executor, Launch, Sighting, Standing
from barbeque_py.ids import AttemptId, attempt_id, new_message_id
from barbeque_py.logs import LogSource
from barbeque_py.outcomes import Fate
from tests.waiting import wait_until

T = TypeVar("T")


class Rig(Protocol):
    """One implementation in a place of its own, which nobody else uses."""

    name: str
    """`docker`, `process`, `ecs` or `callback`."""
    image: str
    """What `prepare` is asked for."""

    def executor(self) -> Executor:
        """Return a fresh executor on the same place, as another worker would have."""
        ...

    def launch(self, script: str, **changes: object) -> Launch:
        """Return a new attempt of a new message that runs `sh -c script`."""
        ...

    def close(self) -> None:
        """Remove everything that was made."""
        ...


def look(executor: Executor, attempt: AttemptId) -> Sighting:
    """Return what is seen of one attempt."""
    return executor.sightings([attempt])[attempt]


def wait_for(executor: Executor, attempt: AttemptId, standing: Standing) -> Sighting:
    """Wait until the attempt stands so."""

    def seen() -> Sighting | None:
        sighting = look(executor, attempt)
        return sighting if sighting.standing is standing else None

    return wait_until(seen, f"{attempt} is {standing}")


def fate_of(executor: Executor, launch: Launch) -> Fate:
    """Wait for the end of a started attempt, and return its fate."""
    fate = wait_for(executor, launch.attempt, Standing.ENDED).fate
    assert fate is not None
    return fate


def run(executor: Executor, launch: Launch, message: str = "{}") -> Sighting:
    """Start the attempt and wait for its end."""
    executor.start(launch, message)
    return wait_for(executor, launch.attempt, Standing.ENDED)


def stored(source: LogSource, *, follow: bool = False) -> list[bytes]:
    """Return all the stored lines."""
    return [line for batch in source.batches(follow=follow) for line in batch]


def written(lines: list[bytes], stream: str = "out") -> bytes:
    """Return what the job wrote to the stream, byte for byte; lines of no known stream too."""
    return b"".join(_texts(lines, stream.encode()))


def _texts(lines: list[bytes], stream: bytes) -> Iterator[bytes]:
    for line in lines:
        _, mark, text = line.split(b" ", 2)
        if mark.rstrip(b"+") in (stream, b"-"):
            yield text if mark.endswith(b"+") else text + b"\n"


def output(executor: Executor, launch: Launch, stream: str = "out") -> bytes:
    """Return what an attempt has written so far."""
    return written(stored(executor.log(launch.attempt)), stream)


def unknown_attempt() -> AttemptId:
    """Return an attempt that nobody has started."""
    return attempt_id(new_message_id(), 1)
