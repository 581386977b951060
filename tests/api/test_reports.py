"""Jobs post their progress and their result, and whoever may read the execution sees them."""

import json
from datetime import timedelta

import httpx
import pytest

from barbeque_py.ids import AttemptId, attempt_id
from barbeque_py.reports import RESULT_LIMIT
from barbeque_py.store import apps
from barbeque_py.store import executions as rows
from barbeque_py.tickets import JobUrls
from tests.api.served import FAILURE, SUCCESS, UNSEEN, Running, error_code


def start(api: Running) -> AttemptId:
    api.enqueue()
    assert api.take_in() == 1
    return api.start()


def post(api: Running, attempt: str, noun: str, body: bytes, **headers: str) -> httpx.Response:
    """Post as the job does: to the address in its variable, with whatever its tool sends."""
    urls = JobUrls("", api.store.read(apps.installation_secret))
    address = urls.reports(attempt)[f"BARBEQUE_{noun.upper()}_URL"]
    kind = {"content-type": "application/x-www-form-urlencoded"}
    return api.client.post(address, content=body, headers=kind | headers)


def shown(api: Running, attempt: str) -> dict[str, object]:
    found: dict[str, object] = api.get(f"/v2/job_executions/{attempt[:36]}").json()
    return found


def result(api: Running, of: str, **wanted: int) -> httpx.Response:
    return api.get(f"/v2/job_executions/{of[:36]}/result", params=wanted)


def test_progress_and_result_are_shown_with_the_execution(api: Running) -> None:
    attempt = start(api)
    before = shown(api, attempt)
    assert (before["progress"], before["result"], before["result_fault"]) == (None, None, None)
    assert result(api, attempt).status_code == 404
    for body in (b"1/4", b"2/4 halfway"):
        answer = post(api, attempt, "progress", body)
        assert (answer.status_code, answer.content) == (204, b"")
    assert post(api, attempt, "result", b'{"first": true}').status_code == 204
    assert post(api, attempt, "result", b'{"second": ["\xc3\xa4"]}').status_code == 204
    after = shown(api, attempt)
    progress = after["progress"]
    assert isinstance(progress, dict)
    assert progress.pop("at").endswith("Z")
    assert progress == {"percent": 50.0, "text": "2/4 halfway"}
    assert after["result"] == {"second": ["ä"]}
    answer = result(api, attempt)
    assert answer.content == '{"second":["ä"]}'.encode()
    assert answer.headers["content-type"] == "application/json"


def test_each_attempt_has_its_own_and_the_newest_counts(api: Running) -> None:
    first = start(api)
    post(api, first, "result", b"1")
    api.end(first, FAILURE)
    api.store.shift = timedelta(minutes=1)
    assert shown(api, first)["result"] == 1
    second = attempt_id(first[:36], 2)
    api.store.write(lambda tx: rows.ripen(tx, 10))
    assert api.start() == second
    assert (shown(api, first)["result"], result(api, first).status_code) == (None, 404)
    assert post(api, second, "result", b"null").status_code == 204
    assert [result(api, first, attempt=number).content for number in (1, 2)] == [b"1", b"null"]
    assert result(api, first).content == b"null"
    assert result(api, first, attempt=3).status_code == 404
    tries = shown(api, first)["attempts"]
    assert isinstance(tries, list)
    assert [each["has_result"] for each in tries] == [True, True]
    api.store.shift = timedelta(0)


def test_after_the_end_only_a_first_result_is_taken_for_an_hour(api: Running) -> None:
    silent, spoken = start(api), start(api)
    post(api, spoken, "result", b"1")
    for attempt in (silent, spoken):
        api.end(attempt, SUCCESS)
    assert post(api, spoken, "result", b"2").status_code == 409
    assert post(api, silent, "progress", b"99%").status_code == 409
    api.store.shift = timedelta(minutes=59)
    assert post(api, silent, "result", b"3").status_code == 204
    assert post(api, silent, "result", b"4").status_code == 409
    assert [shown(api, each)["result"] for each in (silent, spoken)] == [3, 1]
    api.store.shift = timedelta(minutes=61)
    for noun in ("progress", "result"):
        assert post(api, silent, noun, b"1").status_code == 404
    api.store.shift = timedelta(0)


@pytest.mark.parametrize(
    ("noun", "body", "status"),
    [
        ("progress", b"", 400),
        ("progress", b'{"percent": "a"}', 400),
        ("progress", b"\xff", 400),
        ("progress", b"x" * 300_000, 413),
        ("result", b"", 400),
        ("result", b"{'a': 1}", 400),
        ("result", b"[" * 100_000, 413),
        ("result", b"[" * 60_000, 400),
        ("result", b'{"a":1,"a":2}', 400),
        ("result", b"x" * (RESULT_LIMIT + 1), 413),
    ],
)
def test_what_can_t_be_taken_is_refused_and_changes_nothing(
    small_api: Running, noun: str, body: bytes, status: int
) -> None:
    attempt = start(small_api)
    post(small_api, attempt, "progress", b"5%")
    post(small_api, attempt, "result", b"5")
    assert post(small_api, attempt, noun, body).status_code == status
    after = shown(small_api, attempt)
    assert (after["result"], json.dumps(after["progress"])[:15]) == (5, '{"percent": 5.0')


def test_only_the_attempts_own_ticket_opens_it(small_api: Running) -> None:
    attempt, other = start(small_api), start(small_api)
    urls = JobUrls("", b"another secret")
    for noun in ("progress", "result"):
        strange = [
            urls.reports(attempt)[f"BARBEQUE_{noun.upper()}_URL"],
            f"/v2/attempts/{attempt}/{noun}",
            f"/v2/attempts/{attempt}/{noun}?token=",
        ]
        answers = [small_api.client.post(each, content=b"1") for each in strange]
        answers.append(post(small_api, attempt_id(UNSEEN, 1), noun, b"1"))
        assert {each.status_code for each in answers} == {404}
        assert {error_code(each) for each in answers} == {"record_not_found"}
    assert shown(small_api, attempt)["progress"] is None
    assert post(small_api, other, "result", b"7", host="10.0.3.7").status_code == 204
