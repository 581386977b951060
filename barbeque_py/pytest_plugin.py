"""A fixture for the tests of apps: `pytest_plugins = ["barbeque_py.pytest_plugin"]`."""

import pytest

from barbeque_py.testing import MemoryClient


@pytest.fixture
def barbeque() -> MemoryClient:
    """Return a barbeque_py in memory, without a job."""
    return MemoryClient()
