"""The API on each database."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from barbeque_py.store import Store
from tests.api.served import Running, define, parts_of, serving


@pytest.fixture
def api(store: Store, tmp_path: Path) -> Iterator[Running]:
    store.write(define)
    with serving(parts_of(store, tmp_path)) as running:
        yield running


@pytest.fixture
def small_api(sqlite_store: Store, tmp_path: Path) -> Iterator[Running]:
    """On SQLite only, for what has nothing to do with the database."""
    sqlite_store.write(define)
    with serving(parts_of(sqlite_store, tmp_path)) as running:
        yield running
