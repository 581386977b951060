"""A place with a console, on SQLite."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from barbeque_console import patience
from tests.asking import open_client
from tests.console.rigs import Place, open_place, serve_console

patience.PATIENCE = 60.0
"""A busy machine's log store is slow, and not away."""


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with open_place(tmp_path) as found:
        yield found


@pytest.fixture
def address(place: Place) -> Iterator[str]:
    with serve_console(place) as found:
        yield found


@pytest.fixture
def browser(address: str) -> Iterator[httpx.Client]:
    """A client that says of its forms what a browser says of the console's own."""
    headers = {"sec-fetch-site": "same-origin", "origin": address}
    with open_client(address, headers=headers) as client:
        yield client
