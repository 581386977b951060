"""Releases as people type them: watched, compared with the one before, and taken back."""

import json
import subprocess
import threading

import pytest

from barbeque_py.client import Client
from tests.flows.place import Place, one_line, shop
from tests.waiting import wait_until

__all__ = ["shop"]


def enqueue_later(place: Place, job: str, count: int) -> threading.Thread:
    """Let so many jobs come once the release has been made."""
    client = Client(place.url)

    def newest() -> int:
        found = client.revisions("shop", limit=1)["revisions"]
        return int(found[0]["number"]) if found else 0

    before = newest()

    def come() -> None:
        with client:
            wait_until(lambda: newest() > before, "there is a release")
            for _ in range(count):
                client.enqueue("shop", job, {}, queue="default")

    thread = threading.Thread(target=come)
    thread.start()
    return thread


def watched(place: Place, image: str, job: str, *words: str) -> "subprocess.CompletedProcess[str]":
    coming = enqueue_later(place, job, 5)
    try:
        return place.call("release", "shop", image, "--executions", "5", "--for", "25s", *words)
    finally:
        coming.join()


def test_a_release_that_fails_is_rolled_back_and_a_good_one_stays(shop: Place) -> None:
    good = watched(shop, "shop:good", "Echo", "--watch")
    assert good.returncode == 0, good.stderr
    assert "it does well: 0 of 5 executions failed" in good.stdout
    bad = watched(shop, "shop:bad", "Broken", "--auto-rollback", "50%", "--json")
    assert bad.returncode == 1, bad.stderr
    told = json.loads(bad.stdout)
    assert (told["verdict"], told["executions"]["failed"]) == ("bad", 5)
    assert told["before"]["succeeded"] == 5
    newest, *_ = shop.ask("releases", "shop")["revisions"]
    assert newest["number"] == told["rollback"]["number"]
    assert (newest["image"], newest["rollback_of"]) == ("shop:good", told["before"]["number"])
    assert "5 of 5 executions failed" in newest["note"]
    said = shop.say("releases", "shop", "--limit", "2")
    assert "shop:good" in said
    assert "there are more" in said


def test_of_too_few_executions_nothing_is_said(shop: Place) -> None:
    ended = shop.call("release", "shop", "shop:quiet", "--watch", "--for", "1s")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "too few executions have ended" in ended.stdout


def test_release_and_rollback_say_what_they_did(shop: Place) -> None:
    said = shop.say("release", "shop", "shop:one", "--note", "the first")
    number = shop.ask("releases", "shop")["revisions"][0]["number"]
    assert said.startswith(f"shop is at revision {number}: shop:one (its digest is found out")
    shop.say("release", "shop", "shop:two")
    said = shop.say("rollback", "shop", "--to", str(number))
    assert f"which brings back revision {number}: shop:one" in said


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("release", "nothing", "x"), 4),
        (("release", "shop", "x y"), 2),
        (("release", "shop", "x", "--auto-rollback", "120%"), 2),
        (("release", "shop", "x", "--auto-rollback", "often"), 2),
        (("rollback", "shop", "--to", "999"), 4),
        (("releases", "nothing"), 4),
    ],
)
def test_what_can_not_be_is_said_in_one_line(
    shop: Place, words: tuple[str, ...], code: int
) -> None:
    ended = shop.call(*words)
    assert ended.returncode == code
    one_line(ended)
