"""`barbeque alive`: what the health check of a container says."""

import pytest

from tests.flows.place import Place, alone, free_port
from tests.waiting import wait_until

__all__ = ["alone"]


@pytest.mark.timeout(180)
def test_it_tells_a_worker_that_works_from_none(alone: Place) -> None:
    quiet = ("alive", "--port", str(free_port()))
    assert alone.say(*quiet).startswith("a worker waits: "), "no database: nothing to restart for"
    alone.say("migrate")
    ended = alone.call(*quiet)
    assert ended.returncode == 1
    assert "has seen no worker of this host" in ended.stderr
    with alone.started("worker"):
        wait_until(lambda: alone.call(*quiet).returncode == 0)
        assert alone.say(*quiet) == "a worker was seen"
