"""Loop: does what only one of all workers does, every so often."""

from collections.abc import Callable
from datetime import timedelta
from typing import Generic, TypeVar

from barbeque_py.store import Store, Tx, workers

Found = TypeVar("Found")

_LEASE = timedelta(minutes=2)


class Duty(Generic[Found]):
    """Takes the duty when it is due, and does it in the transaction that takes it.

    So it is done once, or again by whoever comes next. `tell` is given what came of it, after the
    commit; a worker that dies in between has told nobody.
    """

    def __init__(  # noqa: PLR0913 - what a duty is
        self,
        store: Store,
        owner: str,
        name: str,
        work: Callable[[Tx], Found],
        *,
        every: timedelta,
        rest: timedelta,
        tell: Callable[[Found], None] = lambda _: None,
    ) -> None:
        self._store = store
        self._owner = owner
        self._name = name
        self._work = work
        self._every = every
        self._rest = rest.total_seconds()
        self._tell = tell

    def step(self) -> float:
        """Do it once if it is due and ours; return how long to rest."""
        for found in self._store.write(self._take):
            self._tell(found)
        return self._rest

    def _take(self, tx: Tx) -> list[Found]:
        """Return what came of it, or nothing where it was not for us."""
        if not workers.take_duty(tx, self._name, self._owner, every=self._every, lease=_LEASE):
            return []
        found = self._work(tx)
        workers.finish_duty(tx, self._name, self._owner)
        return [found]
