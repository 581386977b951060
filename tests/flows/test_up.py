"""`up` and the processes one by one: how they start, stop, and what they refuse."""

import json
import os
import signal
import time

import pytest

from tests.flows.place import (
    PATIENCE,
    Place,
    alone,
    is_alive,
    one_line,
    shop,
)
from tests.waiting import wait_until

__all__ = ["alone", "shop"]


def test_up_says_where_it_is_what_it_keeps_and_where_jobs_run(shop: Place) -> None:
    said = shop.output.read_text()
    assert f"barbeque is up at {shop.url}\n" in said
    assert f"home      {shop.home}\n" in said
    assert f"database  sqlite:///{shop.home}/barbeque.db\n" in said
    assert "jobs run  as processes of this machine, as BARBEQUE_EXECUTOR says\n" in said


def test_a_port_in_use_stops_up_before_anything_is_made(shop: Place, alone: Place) -> None:
    ended = alone.call("up", "--port", str(shop.port))
    assert ended.returncode == 1
    assert f"port {shop.port} of 127.0.0.1 is in use" in one_line(ended)
    assert "--port" in ended.stderr
    assert not alone.home.exists()


@pytest.mark.parametrize(
    ("verb", "host"),
    [("up", "0.0.0.0"), ("up", "::"), ("api", "192.0.2.1"), ("console", "example.com")],
)
def test_an_address_that_others_reach_is_refused(alone: Place, verb: str, host: str) -> None:
    ended = alone.call(verb, "--host", host)
    assert ended.returncode == 2
    assert "no authentication is configured" in one_line(ended)


@pytest.mark.parametrize("verb", ["api", "worker", "console"])
def test_without_a_database_a_process_says_what_makes_it(alone: Place, verb: str) -> None:
    words = [verb] if verb == "worker" else [verb, "--port", str(alone.port)]
    ended = alone.call(*words)
    assert ended.returncode == 3
    assert "`barbeque migrate`" in one_line(ended)
    assert not alone.home.exists()


def test_a_stop_is_quick_leaves_jobs_running_and_the_next_start_takes_them_up(
    alone: Place,
) -> None:
    up = alone.up()
    alone.say("apply", "-f", "barbeque.yaml")
    message_id = alone.enqueue("Nap")
    alone.until(message_id, "running")
    with alone.started("logs", "-f", message_id) as following:
        assert following.stdout is not None
        assert following.stdout.readline() == "asleep\n"
        began = time.monotonic()
        up.send_signal(signal.SIGINT)
        assert up.wait(PATIENCE) == 0
        assert time.monotonic() - began < 10
        assert "Traceback" not in alone.output.read_text()
        alone.up()
        printed, notes = following.communicate(timeout=PATIENCE)
        assert (following.returncode, printed) == (0, "awake\n")
        assert "still trying" in notes
    assert len(alone.ask("status", message_id)["attempts"]) == 1


def test_a_worker_that_dies_is_started_again_and_none_outlives_up(alone: Place) -> None:
    up = alone.up()
    alone.say("apply", "-f", "barbeque.yaml")
    wait_until(alone.workers)
    (worker,) = alone.workers()
    os.kill(worker, signal.SIGKILL)
    alone.say("enqueue", "shop", "Echo", "--wait")
    assert "the worker ended (signal 9) and is started again" in alone.output.read_text()
    (worker,) = alone.workers()
    up.kill()
    up.wait(PATIENCE)
    wait_until(lambda: not is_alive(worker))


def test_check_finds_attempts_at_a_place_without_a_worker_and_forgets_them_when_told(
    alone: Place,
) -> None:
    alone.up()
    alone.say("apply", "-f", "barbeque.yaml")
    assert alone.call("check").returncode == 0
    message_id = alone.enqueue("Nap")
    place = alone.until(message_id, "running")["attempts"][0]["place"]
    assert "a worker speaks to" in one_line(alone.call("check", "--forget-place", place))
    alone.down()
    ended = alone.call("check", "--json")
    findings = {each["subject"]: each for each in json.loads(ended.stdout)["findings"]}
    assert ended.returncode == 1
    assert place in findings["place"]["sentence"]
    assert findings["workers"]["level"] == "warning"
    forgotten = json.loads(alone.say("check", "--forget-place", place, "--json"))
    assert forgotten["vanished"] == [f"{message_id}-1"]
    assert alone.call("check").returncode == 0


def test_migrate_names_the_installation_once(alone: Place) -> None:
    (alone.home.parent / "settings").write_text("BARBEQUE_INSTALLATION=prod01\n")
    made = json.loads(alone.say("--env-file", "settings", "migrate", "--json"))
    assert made["installation"] == "prod01"
    assert alone.ask("migrate") == made
