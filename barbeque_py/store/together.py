"""Lets callers from many threads share one transaction.

Who comes alone runs at once, in its own thread. While a transaction is under way others wait, and
the first of them runs all that wait then in one: many small commits become few, and calls of the
same verb become one call for many items.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from barbeque_py.errors import StoreUnavailable

log = logging.getLogger(__name__)

T = TypeVar("T")
Verb = Callable[[T, Sequence[Any]], Sequence[Any]]
"""Does something for many items in one transaction, and returns a result for each."""

Done = Callable[[Any, Exception | None], None]
"""Is told the result of a call that nobody waits for, or why there is none."""

MOST = 50
"""How many callers share a transaction at most."""


@dataclass(slots=True, eq=False)
class _Call(Generic[T]):
    """What one caller asked for, and what came of it."""

    verb: Verb[T]
    item: Any
    turn: threading.Event | None = None
    """Set when it is over, or when it is for this caller to run those that wait."""
    over: bool = False
    result: Any = None
    error: BaseException | None = None

    def end(self, result: Any = None, error: BaseException | None = None) -> None:
        self.result, self.error, self.over = result, error, True

    def answer(self) -> Any:
        if self.error is not None:
            raise self.error
        return self.result


class Work(Generic[T]):
    """All that some callers asked for, as one transaction's work."""

    def __init__(self, calls: Sequence[_Call[T]]) -> None:
        self._calls = calls
        self._verbs = list(dict.fromkeys(each.verb for each in calls))
        self.__qualname__ = ", ".join(dict.fromkeys(_name_of(each) for each in calls))

    def __call__(self, tx: T) -> list[Any]:
        """Return the calls' results, in their order."""
        results: dict[int, Any] = {}
        for verb in self._verbs:
            calls = [each for each in self._calls if each.verb == verb]
            found = verb(tx, [each.item for each in calls])
            results |= {id(each): result for each, result in zip(calls, found, strict=True)}
        return [results[id(each)] for each in self._calls]


class Together(Generic[T]):
    """A way into the database on which callers from many threads travel together."""

    def __init__(self, run: Callable[[Callable[[T], Any]], Any]) -> None:
        """Run transactions by `run`, which repeats the work when it must."""
        self._run = run
        self._guard = threading.Lock()
        self._waiting: deque[_Call[T]] = deque()
        self._under_way = False

    def ask(self, verb: Verb[T], item: Any) -> Any:
        """Return the verb's result for the item, once its transaction has committed.

        An error of the verb reaches only the caller whose item causes it: when a shared
        transaction fails, each of its calls is run alone. `StoreUnavailable` reaches all.
        """
        call = _Call(verb, item)
        with self._guard:
            if self._under_way:
                call.turn = threading.Event()
                self._waiting.append(call)
            self._under_way = True
        if call.turn is not None:
            call.turn.wait()
        if not call.over:
            self._lead(call)
        return call.answer()

    def run(self, calls: Sequence[_Call[T]]) -> None:
        """Run the calls in one transaction, or each alone when that fails, and end them all."""
        if len(calls) == 1:
            self._run_alone(calls[0])
            return
        try:
            results = self._run(Work(calls))
        except StoreUnavailable as error:
            for each in calls:
                each.end(error=StoreUnavailable(str(error)))
        except Exception:  # noqa: BLE001 - whosever fault it is, the others have nothing to do with it
            for each in calls:
                self._run_alone(each)
        else:
            for each, result in zip(calls, results, strict=True):
                each.end(result)

    def _lead(self, first: _Call[T]) -> None:
        """Run this call with all that wait, then give the lead to the next that waits."""
        with self._guard:
            others = [self._waiting.popleft() for _ in range(min(MOST - 1, len(self._waiting)))]
        calls = [first, *others]
        try:
            self.run(calls)
        except BaseException as error:
            for each in calls:
                if not each.over:
                    each.end(error=error)
            raise
        finally:
            self._give_way(others)

    def _give_way(self, done: Sequence[_Call[T]]) -> None:
        with self._guard:
            following = self._waiting.popleft() if self._waiting else None
            self._under_way = following is not None
        for each in (*done, following):
            if each is not None and each.turn is not None:
                each.turn.set()

    def _run_alone(self, call: _Call[T]) -> None:
        try:
            call.end(self._run(Work([call]))[0])
        except Exception as error:  # noqa: BLE001 - it is raised in the caller's own thread
            call.end(error=error)


class Behind(Generic[T]):
    """Runs calls that nobody waits for in a thread of its own, all that came meanwhile together."""

    def __init__(self, together: Together[T]) -> None:
        self._together = together
        self._waiting: deque[tuple[_Call[T], Done]] = deque()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closed = False

    def put(self, verb: Verb[T], item: Any, done: Done) -> None:
        """Have the verb called for the item soon; `done` is told in another thread what came of it.

        Calls are made in the order in which they were put.
        """
        with self._changed:
            self._waiting.append((_Call(verb, item), done))
            if self._thread is None:
                self._thread = threading.Thread(target=self._repeat, name="behind", daemon=True)
                self._thread.start()
            self._changed.notify()

    def close(self, patience: float) -> None:
        """Make the calls that wait, and then no more; wait so many seconds for that."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join(patience)

    def _repeat(self) -> None:
        while taken := self._next():
            self._together.run([call for call, _ in taken])
            for call, done in taken:
                error = call.error
                assert error is None or isinstance(error, Exception), "nothing else is caught"
                try:
                    done(call.result, error)
                except Exception:
                    log.exception("telling what came of %s failed", _name_of(call))

    def _next(self) -> list[tuple[_Call[T], Done]]:
        with self._changed:
            while not self._waiting and not self._closed:
                self._changed.wait()
            return [self._waiting.popleft() for _ in range(min(MOST, len(self._waiting)))]


def _name_of(call: _Call[T]) -> str:
    for named in (call.item, call.verb):
        if name := getattr(named, "__qualname__", ""):
            return str(name)
    return type(call.verb).__name__
