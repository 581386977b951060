"""One installation of each mode for all files of this folder, as beginning and ending take time."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.conformance.modes import Mode, fleet, one_machine
from tests.stores import MariaDb

SETTINGS = {"BARBEQUE_MAX_BODY": "16MiB"}


@pytest.fixture(scope="package")
def modes(tmp_path_factory: pytest.TempPathFactory, mariadb: MariaDb) -> Iterator[list[Mode]]:
    """One machine and a fleet, at work, with nothing applied."""
    folder = tmp_path_factory.mktemp("modes")
    with ExitStack() as stack:
        modes: list[Mode] = [
            stack.enter_context(one_machine(folder / "one", **SETTINGS)),
            stack.enter_context(fleet(folder / "fleet", mariadb, **SETTINGS)),
        ]
        yield modes
        for mode in modes:
            mode.ask_to_end()
