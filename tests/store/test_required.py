"""A condition that must hold before a database is used: that it has our tables, for example."""

import pytest

from barbeque_py.errors import StoreUnavailable
from barbeque_py.store import Store, database


def test_nothing_is_read_or_written_before_what_is_required_holds(
    sqlite_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "_SPARED", 0.0)
    holds, asked = False, 0

    def condition() -> None:
        nonlocal asked
        asked += 1
        assert sqlite_store.read(lambda tx: tx.sqlite), "it may use the store itself"
        if not holds:
            raise StoreUnavailable("not yet")

    sqlite_store.require(condition)
    for use in (sqlite_store.read, sqlite_store.write):
        with pytest.raises(StoreUnavailable, match="not yet"):
            use(lambda tx: pytest.fail("it was done"))
    holds = True
    assert sqlite_store.write(lambda tx: "done") == "done"
    assert sqlite_store.read(lambda tx: "done") == "done"
    assert asked == 3


def test_what_does_not_hold_is_not_asked_for_by_everybody_at_once(sqlite_store: Store) -> None:
    asked = 0

    def condition() -> None:
        nonlocal asked
        asked += 1
        raise StoreUnavailable("not yet")

    sqlite_store.require(condition)
    for _ in range(5):
        with pytest.raises(StoreUnavailable):
            sqlite_store.read(lambda tx: None)
    assert asked == 1
