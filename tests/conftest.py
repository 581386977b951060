"""Fixtures that every test may ask for, and which files share a process and so never a moment."""

import pytest

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

CROWDED = ("tests/conformance/", "tests/crash/")
"""Folders whose files start dozens of processes and containers: one after the other, and first,
as they last longest. All other files go to whichever process is free."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Group the tests for `--dist loadgroup`."""
    for item in items:
        item.add_marker(pytest.mark.xdist_group(_group_of(item)))
    items.sort(key=lambda item: not item.nodeid.startswith(CROWDED))


def _group_of(item: pytest.Item) -> str:
    crowded = [each for each in CROWDED if item.nodeid.startswith(each)]
    return crowded[0] if crowded else item.nodeid.partition("::")[0]
