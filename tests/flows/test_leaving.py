"""An API that a load balancer looks at says that it leaves, and refuses nobody meanwhile."""

import signal

import httpx

from tests.flows.place import PATIENCE, Place, alone
from tests.waiting import wait_until

__all__ = ["alone"]


def test_an_api_that_is_watched_is_not_ready_first_and_ends_at_once_when_told_again(
    alone: Place,
) -> None:
    """That it also ends by itself, in time, the rolling restarts show."""
    alone.say("migrate")
    with (
        httpx.Client(base_url=alone.url, timeout=PATIENCE) as client,
        alone.started("api", "--port", str(alone.port)) as api,
    ):
        assert api.stdout is not None
        api.stdout.readline()
        ready = client.get("/readyz")
        assert (ready.status_code, ready.headers.get("connection")) == (200, None)
        api.send_signal(signal.SIGTERM)
        wait_until(lambda: client.get("/readyz").status_code == 503, "it says that it leaves")
        assert "about to end" in client.get("/readyz").json()["reasons"][0]
        answer = client.get("/v2/queues")
        assert (answer.status_code, answer.headers["connection"]) == (200, "close")
        api.send_signal(signal.SIGTERM)
        assert api.wait(PATIENCE) == 0
        assert "Traceback" not in api.communicate()[1]
