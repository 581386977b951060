"""Jobs that an app's backend runs: three requests, seen from both sides."""

import json
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest

from barbeque_py.backoff import RetryPolicy
from barbeque_py.callbacks import PLACE
from barbeque_py.errors import NoSuchLog, Unanswered
from barbeque_py.executions import State
from barbeque_py.executor import Preparation, Standing
from barbeque_py.ids import AttemptId
from barbeque_py.start import Claimant, claim
from barbeque_py.store import callbacks
from barbeque_worker.posting import Posting
from tests.api.served import error_code
from tests.receiver import Received, Reply
from tests.store import world
from tests.stores import MariaDb
from tests.waiting import wait_until
from tests.worker.callback_site import Site, site
from tests.worker.office import Office


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(tmp_path_factory.mktemp("callbacks")) as made:
        yield made


@pytest.fixture
def at(shared: Site) -> Site:
    shared.backend.answer = lambda _: Reply(202)
    return shared


def test_one_success_request_by_request(at: Site) -> None:
    at.define()
    message_id = at.office.enqueue("Encode", '{"video": "cat.mp4"}', user_id="ann")
    order = at.order(message_id)
    facts = at.verified(order)
    attempt = f"{message_id}-1"
    assert order.path == "/jobs?of=media"
    assert order.headers["webhook-id"] == order.headers["idempotency-key"] == attempt
    told = {name: facts[name] for name in ("type", "app", "job", "user_id", "attempt_id")}
    assert told == {
        "type": "job.start",
        "app": "app",
        "job": "Encode",
        "user_id": "ann",
        "attempt_id": attempt,
    }
    assert facts["message"] == {"video": "cat.mp4"}
    assert (facts["attempt"], facts["retry_count"], facts["timeout"]) == (1, 0, 3600)
    assert at.office.running(message_id).place == "callback"
    answer = at.post(
        facts["callback_url"], {"result": "ok", "message": "encoded", "output": {"seconds": 12}}
    )
    assert answer.status_code == 204
    ended = at.office.end_of(message_id)
    (attempt_row,) = at.office.attempts(message_id)
    assert (ended.state, attempt_row.exit_code) == (State.SUCCEEDED, 0)
    assert at.office.log(message_id).splitlines() == [
        "barbeque: the backend answered 202",
        "encoded",
    ]
    told = at.http.get(f"/v2/job_executions/{message_id}").json()
    assert told["result"] == {"seconds": 12}
    assert len(at.orders(message_id)) == 1
    wait_until(lambda: f"{message_id}-1" not in at.office.parts.callbacks.remains(), "it is freed")


def test_failure_until_the_end_is_six_runs(at: Site) -> None:
    at.define()
    message_id = at.office.enqueue("Encode")
    for number in range(1, 7):
        facts = at.verified(at.order(message_id, number))
        assert facts["retry_count"] == number - 1
        assert at.office.running(message_id).id == facts["attempt_id"]
        said = {"result": "fail", "message": f"broken {number}"}
        assert at.post(facts["callback_url"], said).status_code == 204
    ended = at.office.end_of(message_id)
    assert (ended.state, ended.counted) == (State.FAILED, 6)
    assert len(at.orders(message_id)) == 6
    assert [each.exit_code for each in at.office.attempts(message_id)] == [1] * 6
    assert at.office.attempts(message_id)[5].detail == "broken 6"
    assert at.office.log(message_id, 6).endswith("broken 6\n")


def test_a_backend_may_answer_at_once(at: Site) -> None:
    at.define(retry=RetryPolicy(limit=0))
    answers = {
        b'{"result": "ok", "message": "done", "output": [1]}': (State.SUCCEEDED, 0, "done"),
        b'{"result": "fail", "message": "no such video"}': (State.FAILED, 1, "no such video"),
        b'{"result": "maybe"}': (State.FAILED, 1, 'a result that is none: result: write "ok"'),
    }
    for body, (state, code, words) in answers.items():
        at.backend.answer = lambda _, body=body: Reply(200, body)  # type: ignore[misc]
        message_id = at.office.enqueue("Encode")
        assert at.office.end_of(message_id).state == state
        (attempt,) = at.office.attempts(message_id)
        assert attempt.exit_code == code
        assert words in (attempt.detail or "")
        assert words in at.office.log(message_id)


def test_a_definite_no_is_a_failure_and_asked_once(at: Site) -> None:
    at.define(retry=RetryPolicy(limit=1, base_delay=timedelta(0), jitter=False))
    at.backend.answer = lambda _: Reply(422, b"what is this?")
    message_id = at.office.enqueue("Encode")
    ended = at.office.end_of(message_id)
    assert (ended.state, ended.could_not_start) == (State.FAILED, True)
    assert [each.reason for each in at.office.attempts(message_id)] == ["never started"] * 2
    assert len(at.orders(message_id)) == 2


def test_an_address_inside_is_the_definitions_fault(at: Site) -> None:
    once = RetryPolicy(limit=0)
    at.define("Inside", callback="https://169.254.169.254/latest/meta-data/", retry=once)
    at.define("Plain", callback="http://93.184.215.14/", retry=once)
    for job in ("Inside", "Plain"):
        message_id = at.office.enqueue(job)
        assert at.office.end_of(message_id).could_not_start
        (attempt,) = at.office.attempts(message_id)
        assert (attempt.detail or "").startswith("callback: ")


def test_an_order_without_an_answer_is_repeated_as_it_was(at: Site) -> None:
    firsts = [Reply(503), Reply(429), Reply(cut=True), Reply(500), Reply(302)]
    replies = {f"/{number}": [reply] for number, reply in enumerate(firsts)}
    at.backend.answer = lambda got: ((left := replies[got.path]) and left.pop()) or Reply(202)
    for path in replies:
        at.define(f"Job{path[1:]}", callback=at.backend.url + path)
    sent = [at.office.enqueue(f"Job{path[1:]}") for path in replies]
    for message_id in sent:
        wait_until(lambda: len(at.orders(message_id)) == 2, "it is ordered again")  # noqa: B023
        first, second = at.orders(message_id)
        assert first.body == second.body
        for name in ("webhook-id", "idempotency-key"):
            assert first.headers[name] == second.headers[name]
        at.verified(second)
        facts = second.json
        wait_until(
            lambda: "answered 202" in stored_lines(at, facts["attempt_id"]),  # noqa: B023
            "it is taken",
        )
        assert at.post(facts["callback_url"], {"result": "ok"}).status_code == 204
    for message_id in sent:
        assert at.office.end_of(message_id).state == State.SUCCEEDED
        assert len(at.office.attempts(message_id)) == 1
        assert len(at.orders(message_id)) == 2


def stored_lines(at: Site, attempt: str) -> str:
    log = at.office.parts.callbacks.log(AttemptId(attempt))
    try:
        return b"\n".join(line for batch in log.batches(follow=False) for line in batch).decode()
    except NoSuchLog:
        return ""


def test_a_result_that_overtakes_the_answer_counts(at: Site) -> None:
    at.define()

    def answer(order: Received) -> Reply:
        if order.method == "POST":
            answered.append(at.post(order.json["callback_url"], {"result": "ok"}).status_code)
        return Reply(cut=True)

    answered: list[int] = []
    at.backend.answer = answer
    message_id = at.office.enqueue("Encode")
    assert at.office.end_of(message_id).state == State.SUCCEEDED
    assert answered == [204]


def test_signs_of_life_give_it_time_and_words_become_the_log(at: Site) -> None:
    at.define(timeout=timedelta(seconds=30))
    message_id = at.office.enqueue("Encode")
    facts = at.order(message_id).json
    before = at.office.running(message_id).deadline_at
    lines = at.http.post(facts["log_url"], content=b"one\ntwo <b>\n")
    assert lines.status_code == 204
    live = at.http.get(f"/v2/job_executions/{message_id}/log").json()
    assert [each["text"] for each in live["lines"]][-2:] == ["one", "two <b>"]
    assert not live["sealed"]
    for url, body in [
        (facts["heartbeat_url"], None),
        (facts["heartbeat_url"], {"message": "still at it"}),
        (facts["progress_url"], {"percent": 40, "text": "frames"}),
    ]:
        assert at.post(url, body).status_code == 204
        extended = at.office.running(message_id).deadline_at
        assert before is not None
        assert extended is not None
        assert extended > before
        before = extended
    shown = at.http.get(f"/v2/job_executions/{message_id}").json()["progress"]
    assert (shown["percent"], shown["text"]) == (40, "frames")
    assert at.post(facts["callback_url"], {"result": "ok"}).status_code == 204
    at.office.end_of(message_id)
    assert at.office.log(message_id).splitlines()[1:] == ["one", "two <b>", "still at it"]


def test_a_backend_that_says_nothing_has_failed(at: Site) -> None:
    at.define(
        timeout=timedelta(seconds=1),
        grace=timedelta(seconds=1),
        retry=RetryPolicy(limit=1, base_delay=timedelta(0), jitter=False),
    )
    at.backend.answer = lambda got: Reply(202)
    message_id = at.office.enqueue("Encode")
    first = at.order(message_id).json
    facts = at.order(message_id, 2).json
    late = at.post(first["callback_url"], {"result": "ok"})
    assert late.status_code == 409
    ended = at.office.end_of(message_id)
    assert (ended.state, ended.counted) == (State.FAILED, 2)
    assert [each.reason for each in at.office.attempts(message_id)] == ["timed out"] * 2
    assert at.post(facts["callback_url"], {"result": "ok"}).status_code == 409
    stops = [each for each in at.backend.received if each.method == "DELETE"]
    assert {at.verified(each)["attempt_id"] for each in stops} >= {
        first["attempt_id"],
        facts["attempt_id"],
    }


@pytest.mark.parametrize("status", [200, 404])
def test_cancelling_tells_the_backend_which_then_has_stopped(at: Site, status: int) -> None:
    at.define()
    at.backend.answer = lambda got: Reply(status if got.method == "DELETE" else 202)
    message_id = at.office.enqueue("Encode")
    facts = at.order(message_id).json
    at.office.running(message_id)
    assert at.http.post(f"/v2/job_executions/{message_id}/cancel").status_code == 202
    assert at.office.end_of(message_id).state == State.CANCELLED
    stop = [each for each in at.backend.received if each.method == "DELETE"][-1]
    told = at.verified(stop)
    assert (told["type"], told["attempt_id"], told["reason"]) == (
        "job.stop",
        facts["attempt_id"],
        "cancelled",
    )
    assert at.post(facts["callback_url"], {"result": "ok"}).status_code == 409


def test_a_cancelled_backend_may_still_say_how_it_ended(at: Site) -> None:
    at.define()
    for said, state in (("ok", State.SUCCEEDED), ("fail", State.CANCELLED)):
        message_id = at.office.enqueue("Encode")
        facts = at.order(message_id).json
        at.office.running(message_id)
        at.http.post(f"/v2/job_executions/{message_id}/cancel")
        wait_until(
            lambda: any(
                each.json["attempt_id"] == facts["attempt_id"]  # noqa: B023 - asked at once
                for each in at.backend.received
                if each.method == "DELETE"
            ),
            "the backend is told",
        )
        assert at.post(facts["callback_url"], {"result": said}).status_code == 204
        assert at.office.end_of(message_id).state == state


def test_forged_replayed_and_late_callbacks_are_refused(at: Site) -> None:
    at.define()
    message_id, other_id = at.office.enqueue("Encode"), at.office.enqueue("Encode")
    facts, other = at.order(message_id).json, at.order(other_id).json
    base, _, token = facts["callback_url"].partition("?token=")
    other_base, _, other_token = other["callback_url"].partition("?token=")
    nouns = ("result", "heartbeat", "log", "progress")
    forged = [
        f"{base.removesuffix('result')}{noun}{query}"
        for noun in nouns
        for query in (
            "",
            "?token=",
            f"?token={other_token}",
            f"?token={token[:-1]}",
            f"?token={token}0",
            f"?token={token.upper()}",
            f"?token={'0' * 40}",
            f"?tok={token}",
            f"?token={token[::-1]}",
            f"?token=%00{token}",
        )
    ]
    forged += [
        f"{other_base}?token={token}",
        f"{base.replace('-1/', '-2/')}?token={token}",
        f"{base.replace(message_id, message_id[::-1])}?token={token}",
        f"{base.replace('/result', '/../' + other_id + '-1/result')}?token={token}",
    ]
    assert len(forged) >= 40
    for url in forged:
        answer = at.post(url, {"result": "ok"})
        assert answer.status_code in (400, 404), url
    unfit: list[bytes] = [
        b"",
        b"ok",
        b"{}",
        b'{"result": "OK"}',
        b'{"result": true}',
        b'{"result": "ok", "result": "fail"}',
        b'{"result": "ok", "more": 1}',
        b'{"result": "ok", "message": 1}',
        b'{"result": "ok", "message": "\\ud800"}',
        b'["ok"]',
        b"\xff",
        b'{"result": "ok", "output": NaN}',
    ]
    for body in unfit:
        assert at.http.post(facts["callback_url"], content=body).status_code == 400, body
    huge = b'{"result": "ok", "message": "' + b"x" * 70_000 + b'"}'
    assert at.http.post(facts["callback_url"], content=huge).status_code == 413
    assert at.office.running(message_id).state == "running"
    assert at.office.running(other_id).state == "running"
    assert at.post(facts["callback_url"], {"result": "fail"}).status_code == 204
    replayed = at.post(facts["callback_url"], {"result": "fail"})
    assert (replayed.status_code, error_code(replayed)) == (409, "conflict")
    for noun in ("heartbeat", "log"):
        late = at.http.post(facts[f"{noun}_url"], content=b'{"message": "late"}')
        assert late.status_code == 409
    second = at.order(message_id, 2).json
    assert (
        at.post(f"{base.replace('-1/', '-2/')}?token={token}", {"result": "ok"}).status_code == 404
    )
    for facts in (second, other):
        assert at.post(facts["callback_url"], {"result": "ok"}).status_code == 204
    assert at.office.end_of(message_id).state == State.SUCCEEDED
    assert at.office.end_of(other_id).state == State.SUCCEEDED
    assert [each.exit_code for each in at.office.attempts(message_id)] == [1, 0]


def test_only_one_of_many_results_at_once_is_taken(at: Site) -> None:
    at.define(retry=RetryPolicy(limit=0))
    message_id = at.office.enqueue("Encode")
    facts = at.order(message_id).json
    said = ["ok", "fail"] * 8
    with ThreadPoolExecutor(16) as threads:
        answers = list(
            threads.map(lambda each: at.post(facts["callback_url"], {"result": each}), said)
        )
    taken = [each for each, answer in zip(said, answers, strict=True) if answer.status_code == 204]
    assert len(taken) == 1
    assert {answer.status_code for answer in answers} == {204, 409}
    ended = at.office.end_of(message_id)
    assert ended.state == (State.SUCCEEDED if taken == ["ok"] else State.FAILED)


def test_a_full_machine_keeps_no_backend_waiting(at: Site) -> None:
    at.office.define("Sleep", "sleep 60")
    sleeping = [at.office.enqueue("Sleep") for _ in range(3)]
    for message_id in sleeping[:2]:
        at.office.running(message_id)
    at.define()
    at.backend.answer = lambda _: Reply(200, b'{"result": "ok"}')
    assert at.office.end_of(at.office.enqueue("Encode")).state == State.SUCCEEDED
    for message_id in sleeping:
        at.http.post(f"/v2/job_executions/{message_id}/cancel")
    for message_id in sleeping:
        at.office.end_of(message_id)


def test_backends_that_are_away_keep_nobody_else_waiting(at: Site) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        at.define("Away", callback=f"http://127.0.0.1:{nobody.getsockname()[1]}/")
        away = [at.office.enqueue("Away") for _ in range(9)]
        at.define()
        at.backend.answer = lambda _: Reply(200, b'{"result": "ok"}')
        assert at.office.end_of(at.office.enqueue("Encode")).state == State.SUCCEEDED
        for message_id in away:
            wait_until(lambda: at.office.attempts(message_id), "it was begun")  # noqa: B023
            at.http.post(f"/v2/job_executions/{message_id}/cancel")
        for message_id in away:
            assert at.office.end_of(message_id).state == State.CANCELLED


def test_a_message_of_any_size_is_ordered(at: Site) -> None:
    at.define()
    at.backend.answer = lambda _: Reply(200, b'{"result": "ok"}')
    for size in (10, 20_000, 300_000):
        message = {"text": "ü\U0001f600" * size, "n": 1e300}
        message_id = at.office.enqueue("Encode", json.dumps(message))
        assert at.verified(at.order(message_id))["message"] == message
        assert at.office.end_of(message_id).state == State.SUCCEEDED


@pytest.mark.mariadb
def test_both_sequences_on_mariadb(mariadb: MariaDb, tmp_path: Path) -> None:
    with mariadb.database() as url, site(tmp_path, BARBEQUE_DATABASE=url) as at:
        at.backend.answer = lambda _: Reply(202)
        at.define(retry=RetryPolicy(limit=1, base_delay=timedelta(0), jitter=False))
        good, bad = at.office.enqueue("Encode"), at.office.enqueue("Encode")
        facts = at.verified(at.order(good))
        assert at.post(facts["heartbeat_url"], {"message": "still here"}).status_code == 204
        assert at.post(facts["callback_url"], {"result": "ok"}).status_code == 204
        assert at.post(facts["callback_url"], {"result": "ok"}).status_code == 409
        for number in (1, 2):
            url_of_result = at.verified(at.order(bad, number))["callback_url"]
            assert at.post(url_of_result, {"result": "fail"}).status_code == 204
        assert at.office.end_of(good).state == State.SUCCEEDED
        assert at.office.end_of(bad).state == State.FAILED
        assert len(at.orders(bad)) == 2


@pytest.mark.parametrize("reached", [False, True])
def test_an_order_that_nobody_answers_is_given_up(tmp_path: Path, reached: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
    office = Office(tmp_path, "process:", more={"BARBEQUE_WEBHOOK_ALLOW": "127.0.0.1"})
    store, settled = office.store, threading.Event()
    world.define(store, callback=url)
    message_id = world.enqueue(store)
    ready = {"media": {"Encode": Preparation("", PLACE, details={"url": url})}}
    who = Claimant("worker", "here", world.LEASE)
    (claimed,) = store.write(
        lambda tx: claim(tx, who, "default", most=1, prepared=ready, prepare=lambda _: None)
    )
    attempt = claimed.attempt
    assert office.parts.callbacks.start(claimed.launch, "{}").standing is Standing.RUNNING
    posting = Posting(office.parts, on_settled=settled.set)
    with pytest.raises(Unanswered):
        posting.order(attempt)
    if reached:
        store.write(lambda tx: callbacks.mark_sent(tx, attempt))
    world.later(store, minutes=9)
    with pytest.raises(Unanswered):
        posting.order(attempt)
    assert not settled.is_set()
    world.later(store, minutes=2)
    posting.order(attempt)
    (ended,) = world.attempts_of(store, message_id)
    execution = world.find(store, message_id)
    if reached:
        assert (ended.reason, ended.counted, execution.state) == ("vanished", True, "retrying")
    else:
        assert (ended.reason, ended.counted, execution.state) == ("never started", False, "queued")
    posting.order(attempt)
    office.close()
