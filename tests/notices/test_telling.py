"""People are told by email how their jobs ended: from the settlement to a real mail server."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote

import pytest

from barbeque_py.apps import App
from barbeque_py.backoff import RetryPolicy
from barbeque_py.notices import NoticeState, User
from barbeque_py.store import address_book, apps, notices
from barbeque_py.store.notices import Kept
from barbeque_worker.courier import Backoff
from tests.notices.mailroom import PASSWORD, USER, Mailroom, make_certificate, serve_mail
from tests.waiting import wait_until
from tests.worker.office import Office

pytestmark = pytest.mark.filterwarnings("ignore:Requiring AUTH")  # smtps is encrypted before it
QUICK = Backoff(timedelta(seconds=0.1), timedelta(seconds=1))


@pytest.fixture
def mailroom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mailroom]:
    certificate = make_certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.certificate))
    with serve_mail(certificate) as room:
        yield room


@pytest.fixture
def office(mailroom: Mailroom, tmp_path: Path) -> Iterator[Office]:
    login = f"{USER}:{quote(PASSWORD, safe='')}"
    office = Office(
        tmp_path,
        "process:?slots=4",
        more={
            "BARBEQUE_MAIL": f"smtps://{login}@127.0.0.1:{mailroom.port}",
            "BARBEQUE_MAIL_FROM": "Barbeque <jobs@example.com>",
            "BARBEQUE_ADMIN_EMAIL": "operations@example.com",
            "BARBEQUE_HOST": "https://barbeque.example.com",
        },
    )
    office.work(backoff=QUICK)
    yield office
    office.close()


def know(office: Office, user_id: str, *emails: str, **facts: object) -> None:
    user = User("app", user_id, emails, **facts)  # type: ignore[arg-type]
    office.store.write(lambda tx: address_book.put(tx, user))


def told_of(office: Office, message_id: str) -> list[Kept]:
    execution = office.execution(message_id)
    if execution is None:
        return []
    return office.store.read(lambda tx: notices.of_execution(tx, execution.id))


def all_over(office: Office, message_id: str, count: int) -> list[Kept]:
    """Wait until so many notices are made, and over."""

    def look() -> list[Kept] | None:
        found = told_of(office, message_id)
        return found if len(found) == count and all(each.done_at for each in found) else None

    return wait_until(look, f"{count} notices of {message_id} are over")


def test_a_user_of_the_address_book_is_told_of_a_success(
    office: Office, mailroom: Mailroom
) -> None:
    know(office, "u-1", "ann@example.com", locale="en", time_zone="Asia/Tokyo")
    office.define("job", "echo working; echo done")
    message_id = office.enqueue("job", user_id="u-1")
    office.end_of(message_id)
    (kept,) = all_over(office, message_id, 1)
    assert kept.state is NoticeState.DELIVERED
    (post,) = mailroom.posts
    assert (post.sender, post.recipients) == ("jobs@example.com", ("ann@example.com",))
    assert post.id == kept.notice_id
    assert post.message["Subject"] == "app/job succeeded"
    assert post.message["Auto-Submitted"] == "auto-generated"
    assert "    working\n    done\n" in post.text
    assert f"https://barbeque.example.com/job_executions/{message_id}\n" in post.text
    assert " JST" in post.text
    assert "done" in post.html


def test_six_runs_of_a_job_that_always_fails_tell_user_and_admins_once_at_the_end(
    office: Office, mailroom: Mailroom
) -> None:
    office.store.write(
        lambda tx: apps.put_app(tx, App("app", "", notify={"email": ["team@example.com"]}))
    )
    know(office, "u-1", "ann@example.com", "ann@home.example")
    retry = RetryPolicy(limit=5, base_delay=timedelta(milliseconds=10), jitter=False)
    office.define("job", "echo oh no >&2; exit 3", retry=retry)
    message_id = office.enqueue("job", user_id="u-1")
    execution = office.end_of(message_id)
    assert (execution.state, len(office.attempts(message_id))) == ("failed", 6)
    all_over(office, message_id, 4)
    assert sorted(post.recipients[0] for post in mailroom.posts) == [
        "ann@example.com",
        "ann@home.example",
        "operations@example.com",
        "team@example.com",
    ]
    for post in mailroom.posts:
        assert post.message["Subject"] == "app/job failed"
        assert "It ended with exit code 3." in post.text
        assert "Attempts: 6 of 6" in post.text
        assert "    oh no\n" in post.text


@pytest.mark.parametrize("user_id", ["nobody", "silent"])
def test_an_unknown_user_or_one_without_address_is_shown_and_fails_nothing(
    office: Office, mailroom: Mailroom, user_id: str
) -> None:
    know(office, "silent")
    office.define("job", "exit 0")
    message_id = office.enqueue("job", user_id=user_id)
    assert office.end_of(message_id).state == "succeeded"
    (kept,) = all_over(office, message_id, 1)
    assert kept.state is NoticeState.NOBODY
    assert user_id in (kept.reason or "")
    assert mailroom.posts == []


def test_a_receiver_that_fails_is_tried_again_with_the_same_id(
    office: Office, mailroom: Mailroom
) -> None:
    asked: list[str] = []

    def answer(recipient: str, stage: str) -> str:
        asked.append(stage)
        return "451 come back later" if len(asked) < 4 else "250 taken"

    mailroom.answer = answer
    office.define("job", "exit 0")
    message_id = office.enqueue("job", notify={"email": ["ann@example.com"]})
    (kept,) = all_over(office, message_id, 1)
    assert kept.state is NoticeState.DELIVERED
    assert [post.id for post in mailroom.posts] == [kept.notice_id]
    record = office.store.read(lambda tx: notices.deliveries_of(tx, kept.id))
    assert [each.outcome for each in record] == ["failed"] * 3 + ["delivered"]
    assert "451 come back later" in (record[0].answer or "")


def test_a_receiver_that_says_a_definite_no_is_left_alone(
    office: Office, mailroom: Mailroom
) -> None:
    mailroom.answer = lambda _recipient, _stage: "550 no such mailbox"
    office.define("job", "exit 0")
    message_id = office.enqueue("job", notify={"email": ["gone@example.com"]})
    (kept,) = all_over(office, message_id, 1)
    assert kept.state is NoticeState.REFUSED
    assert "550 no such mailbox" in (kept.reason or "")
    assert kept.tries == 1
