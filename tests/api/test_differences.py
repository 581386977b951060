"""Plans: what applying would change, key by key, and only that is applied."""

from typing import Any

import httpx
import pytest

from tests.api.served import Running, error_code

YAML = {"content-type": "application/yaml"}
FILE = """
apps:
  - name: media
    image: media:2
    env: {SIZE: "10", NEW: "1"}
    jobs:
      - name: Thumbnail
        command: [thumbnail]
        timeout: 15m
        retry: {limit: 1, base_delay: 0s}
      - {name: Other, command: other, queue: slow}
queues:
  - {name: default}
  - {name: slow, concurrency: 3}
"""


def ask(api: Running, text: str = FILE, **params: str) -> httpx.Response:
    return api.client.post("/v2/apply", content=text.encode(), headers=YAML, params=params)


def planned(api: Running, text: str = FILE, **params: str) -> dict[str, Any]:
    answer = ask(api, text, dry_run="1", diff="1", **params)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def by_name(answer: dict[str, Any]) -> dict[str, Any]:
    return {f"{each['kind']} {each['name']}": each for each in answer["changes"]}


def told(key: str, before: object, after: object) -> dict[str, object]:
    return {"key": key, "before": before, "after": after}


def test_a_plan_tells_each_key_that_would_change(api: Running) -> None:
    found = by_name(planned(api))
    assert found["app media"]["differences"] == [
        told("image", "media:1", "media:2"),
        told("env.SIZE", None, "10"),
        told("env.NEW", None, "1"),
    ]
    assert found["job media/Thumbnail"]["differences"] == [told("timeout", None, "15m")]
    assert found["job media/Other"] == {
        "kind": "job",
        "name": "media/Other",
        "change": "created",
        "differences": [told("command", None, ["other"]), told("queue", None, "slow")],
    }
    assert found["queue slow"]["differences"] == [told("concurrency", 2, 3)]
    assert found["queue default"] == {
        "kind": "queue",
        "name": "default",
        "change": "unchanged",
        "differences": [],
    }


def test_a_plan_of_pruning_tells_what_would_go(api: Running) -> None:
    ask(api)
    less = FILE.replace("      - {name: Other, command: other, queue: slow}\n", "")
    gone = by_name(planned(api, less, prune="1"))["job media/Other"]
    assert gone["change"] == "removed"
    assert told("command", ["other"], None) in gone["differences"]


def test_what_was_planned_is_applied_and_nothing_else(api: Running) -> None:
    state = planned(api)["state"]
    assert planned(api)["state"] == state
    between = ask(api, "queues: [{name: slow, concurrency: 7}]")
    assert between.status_code == 200
    answer = ask(api, planned=state)
    assert (answer.status_code, error_code(answer)) == (409, "conflict")
    assert by_name(planned(api))["queue slow"]["change"] == "changed"
    again = planned(api)
    assert again["state"] != state
    assert ask(api, planned=again["state"]).status_code == 200
    after = planned(api)
    assert {each["change"] for each in after["changes"]} == {"unchanged"}
    assert after["state"] != again["state"]


@pytest.mark.parametrize("params", [{}, {"dry_run": "1"}])
def test_without_being_asked_for_differences_are_not_told(
    small_api: Running, params: dict[str, str]
) -> None:
    answer = ask(small_api, **params).json()
    assert answer.keys() == {"changes", "dry_run", "unfinished"}
    assert answer["changes"][0].keys() == {"kind", "name", "change"}
