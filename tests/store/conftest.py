"""Stores for many small tests: migrated once, emptied for each."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from barbeque_py.store import Store
from tests.stores import make_sqlite


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    make_sqlite(tmp_path / "barbeque.db")
    return f"sqlite:///{tmp_path / 'barbeque.db'}"


@pytest.fixture(params=["sqlite", pytest.param("mariadb", marks=pytest.mark.mariadb)])
def database_url(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(f"{request.param}_url"))


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    with closing(Store(database_url)) as opened:
        yield opened


@pytest.fixture
def other_store(store: Store, database_url: str) -> Iterator[Store]:
    with closing(Store(database_url)) as opened:
        yield opened
