"""Waits for an execution from afar: patient with a server that is being restarted."""

import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from barbeque_py import clock
from barbeque_py.answers import ENDED
from barbeque_py.cli.exits import Code, plain, warn
from barbeque_py.faults import Faulty, Unreachable

if TYPE_CHECKING:
    from barbeque_py.client import Client

Result = TypeVar("Result")

_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 1.0
_PATIENCE = 60.0
"""Seconds that a server which has answered before may be away."""


class Patience:
    """Calls the server, and waits a minute for one that answered before and is away now."""

    def __init__(self) -> None:
        self._answered = False

    def call(self, ask: Callable[[], Result]) -> Result:
        """Return the answer; raises what the last try raised when patience is over."""
        until = clock.monotonic() + _PATIENCE
        warned = False
        while True:
            try:
                answer = ask()
            except (Unreachable, Faulty) as error:
                if not self._answered or clock.monotonic() > until:
                    raise
                if not warned:
                    warn(f"{error}; still trying")
                warned = True
                time.sleep(_LONGEST_PAUSE)
            else:
                self._answered = True
                return answer


class Pause:
    """Sleeps a little longer each time, up to a second."""

    def __init__(self) -> None:
        self._next = _FIRST_PAUSE

    def sleep(self) -> None:
        """Sleep."""
        time.sleep(self._next)
        self._next = min(self._next * 1.5, _LONGEST_PAUSE)


class Ticker:
    """Tells what a job newly says of its progress, on standard error."""

    def __init__(self) -> None:
        self._told: dict[str, Any] | None = None

    def show(self, execution: dict[str, Any]) -> None:
        """Tell it, unless it was told before."""
        progress = execution.get("progress")
        if progress and progress != self._told:
            note(describe_progress(progress))
        self._told = progress


def note(text: str) -> None:
    """Print a note to standard error, so that standard output is what was asked for alone."""
    sys.stderr.write(f"-- {plain(text)}\n")
    sys.stderr.flush()


def describe_progress(progress: dict[str, Any]) -> str:
    """Return how far a job is, in a few words."""
    percent, text = progress["percent"], progress["text"]
    return text if percent is None else f"{percent:g}% {text}".rstrip()


def look(client: "Client", message_id: str) -> dict[str, Any]:
    """Return the execution; of one that no worker has seen, what v1 says, in the same shape."""
    return dict(client.look(message_id).facts)


def explain(client: "Client", message_id: str) -> dict[str, Any]:
    """Return the execution as `look` does, and why it does not run, seen or unseen."""
    execution = look(client, message_id)
    if execution["state"] in ENDED or "waiting" in execution:
        return execution
    return execution | {"waiting": client.waiting(message_id)["waiting"]}


def wait_for_end(client: "Client", message_id: str) -> dict[str, Any]:
    """Return the execution once it has ended, however long that takes; tell its progress."""
    patience, pause, progress = Patience(), Pause(), Ticker()
    while True:
        execution = patience.call(lambda: look(client, message_id))
        if execution["state"] in ENDED:
            return execution
        progress.show(execution)
        pause.sleep()


def code_of(execution: dict[str, Any]) -> Code:
    """Return the exit code that tells how the execution ended."""
    return Code.DONE if execution["state"] == "succeeded" else Code.FAILED
