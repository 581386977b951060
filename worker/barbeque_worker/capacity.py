"""Which sizes a place has no room for now, and when to ask again."""

from collections.abc import Iterable

from barbeque_py import clock
from barbeque_py.store import Store, Tx, pauses
from barbeque_py.store.pauses import Pause

_FRESH = 1.0


class Capacity:
    """The pauses as one worker sees them, a second old at most."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._pauses: dict[str, Pause] = {}
        self._read_at = -_FRESH

    def look(self) -> None:
        """Read the pauses, and let one attempt ask again wherever a pause is over."""
        if clock.monotonic() - self._read_at < _FRESH:
            return
        self._read_at = clock.monotonic()
        self._pauses, over = self._store.read(_current)
        for scope in over:
            self._store.write(lambda tx, scope=scope: pauses.probe(tx, scope))  # type: ignore[misc]

    def started(self, scopes: Iterable[str]) -> None:
        """Lift the pauses whose probe has just started."""
        for scope in scopes:
            if scope in self._pauses:
                self._store.write(lambda tx, scope=scope: pauses.lift(tx, scope))  # type: ignore[misc]


def _current(tx: Tx) -> tuple[dict[str, Pause], list[str]]:
    found = pauses.current(tx)
    over = [scope for scope, each in found.items() if each.until <= tx.now] if found else []
    return found, over
