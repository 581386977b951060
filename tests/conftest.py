"""Fixtures that every test may ask for, and which files share a process and so never a moment."""

import gc

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

from tests.cloud.rig import aws_environment, calm_cloud, cloud
from tests.stores import (
    mariadb,
    mariadb_store,
    mariadb_url,
    migrated_mariadb,
    sqlite_store,
    store,
)

__all__ = [
    "aws_environment",
    "calm_cloud",
    "cloud",
    "mariadb",
    "mariadb_store",
    "mariadb_url",
    "migrated_mariadb",
    "sqlite_store",
    "store",
]

gc.set_threshold(50_000, 20, 100)
"""What all tests import together is large, and was looked through over and over: a quarter of the
time of collecting tests, an eighth of that of running them."""

CROWDED = ("tests/conformance/", "tests/crash/")
"""Folders whose files start dozens of processes and containers: one after the other, and first,
as they last longest. All other files go to whichever process is free."""


class Scheduling(LoadFileScheduling):  # type: ignore[misc]
    """Deals out files, but crowded folders whole."""

    def _split_scope(self, nodeid: str) -> str:
        crowded = [each for each in CROWDED if nodeid.startswith(each)]
        return crowded[0] if crowded else str(super()._split_scope(nodeid))


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Scheduling:
    """Deal the files out to the processes of `-n`."""
    return Scheduling(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the crowded folders first."""
    items.sort(key=lambda item: not item.nodeid.startswith(CROWDED))


def pytest_collection_finish() -> None:
    """Look no more through what has been imported."""
    gc.collect()
    gc.freeze()
