"""People are told by email how their jobs ended: from the settlement to a real mail server."""

from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from urllib.parse import quote

import pytest
from sqlalchemy import update

from barbeque_py.apps import App
from barbeque_py.backoff import RetryPolicy
from barbeque_py.notices import PATIENCE, Channel, NoticeState, User
from barbeque_py.store import Tx, address_book, apps, notices, outbox, tables
from barbeque_py.store.notices import Kept
from barbeque_py.tell_again import send_again
from barbeque_worker.courier import Backoff
from tests.notices.mailroom import OK, PASSWORD, USER, Mailroom, make_certificate, serve_mail
from tests.notices.slack_place import TOKEN, Answer, SlackPlace, check_limits, serve_slack
from tests.waiting import wait_until
from tests.worker.office import Office

pytestmark = pytest.mark.filterwarnings("ignore:Requiring AUTH")  # smtps is encrypted before it
QUICK = Backoff(timedelta(seconds=0.1), timedelta(seconds=1))


@pytest.fixture(scope="module")
def mail(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mailroom]:
    certificate = make_certificate(tmp_path_factory.mktemp("mail"))
    with pytest.MonkeyPatch.context() as patch, serve_mail(certificate) as room:
        patch.setenv("SSL_CERT_FILE", str(certificate.certificate))
        yield room


@pytest.fixture(scope="module")
def posted() -> Iterator[SlackPlace]:
    with serve_slack() as place:
        yield place


@pytest.fixture(scope="module")
def open_office(
    mail: Mailroom, posted: SlackPlace, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Office]:
    login = f"{USER}:{quote(PASSWORD, safe='')}"
    office = Office(
        tmp_path_factory.mktemp("office"),
        "process:?slots=4",
        more={
            "BARBEQUE_MAIL": f"smtps://{login}@127.0.0.1:{mail.port}",
            "BARBEQUE_MAIL_FROM": "Barbeque <jobs@example.com>",
            "BARBEQUE_ADMIN_EMAIL": "operations@example.com",
            "BARBEQUE_SLACK": TOKEN,
            "BARBEQUE_SLACK_API": posted.api,
            "BARBEQUE_HOST": "https://barbeque.example.com",
        },
    )
    office.work(backoff=QUICK)
    yield office
    office.close()


@pytest.fixture
def mailroom(mail: Mailroom) -> Mailroom:
    mail.posts.clear()
    mail.answer = lambda _recipient, _stage: OK
    return mail


@pytest.fixture
def slack(posted: SlackPlace) -> SlackPlace:
    posted.messages.clear()
    posted.answer = lambda _channel: None
    return posted


@pytest.fixture
def office(open_office: Office, mailroom: Mailroom, slack: SlackPlace) -> Office:
    """The office, where nobody but the admins of all is told of anything."""
    notify(open_office)
    open_office.store.write(lambda tx: notices.set_recovered(tx, "app", "job"))
    return open_office


def notify(office: Office, **rules: object) -> None:
    chosen = {"digest": "0s"} | rules
    office.store.write(lambda tx: apps.put_app(tx, App("app", "", notify=chosen)))


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
    notify(office, email=["team@example.com"])
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
        return "451 come back later" if len(asked) < 3 else "250 taken"

    mailroom.answer = answer
    office.define("job", "exit 0")
    message_id = office.enqueue("job", notify={"email": ["ann@example.com"]})
    (kept,) = all_over(office, message_id, 1)
    assert kept.state is NoticeState.DELIVERED
    assert [post.id for post in mailroom.posts] == [kept.notice_id]
    record = office.store.read(lambda tx: notices.deliveries_of(tx, kept.id))
    assert [each.outcome for each in record] == ["failed", "failed", "delivered"]
    assert "451 come back later" in (record[0].answer or "")


def test_one_that_nobody_took_for_a_day_is_given_up_and_can_be_sent_again(
    office: Office, mailroom: Mailroom
) -> None:
    mailroom.answer = lambda _recipient, _stage: "451 come back later"
    office.define("job", "exit 0")
    message_id = office.enqueue("job", notify={"email": ["ann@example.com"]})

    def tried() -> Kept | None:
        found = told_of(office, message_id)
        return found[0] if found and found[0].tries else None

    waiting = wait_until(tried, "the notice was tried")
    age(office, waiting, PATIENCE - timedelta(minutes=5))
    tries = wait_until(tried, "it is tried on its first day").tries
    wait_until(lambda: told_of(office, message_id)[0].tries > tries, "it is tried again")
    assert told_of(office, message_id)[0].state is NoticeState.WAITING
    age(office, waiting, PATIENCE)
    (kept,) = all_over(office, message_id, 1)
    assert kept.state is NoticeState.GIVEN_UP
    assert "451 come back later" in (kept.reason or "")
    assert office.store.read(outbox.oldest_due) is None
    record = office.store.read(lambda tx: notices.deliveries_of(tx, kept.id))
    assert {each.outcome for each in record} == {"failed"}
    mailroom.answer = lambda _recipient, _stage: OK
    office.store.write(lambda tx: send_again(tx, kept))
    wait_until(lambda: mailroom.to("ann@example.com"), "it was sent again")
    (kept,) = all_over(office, message_id, 1)
    assert kept.state is NoticeState.DELIVERED


def age(office: Office, kept: Kept, by: timedelta) -> None:
    """Have the notice wait for so long already."""
    made = update(tables.posts.notices).where(tables.posts.notices.c.id == kept.id)
    office.store.write(lambda tx: tx.execute(made.values(made_at=tx.now - by)))


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


def test_each_failed_attempt_where_asked_is_a_message_of_one_thread(
    office: Office, mailroom: Mailroom, slack: SlackPlace
) -> None:
    notify(office, slack="#media", hears=["attempt"], mention="<!here>", digest="0s")
    know(office, "u-1", "ann@example.com")
    retry = RetryPolicy(limit=5, base_delay=timedelta(milliseconds=10), jitter=False)
    office.define("job", "exit 3", retry=retry)
    message_id = office.enqueue("job", user_id="u-1")
    assert office.end_of(message_id).state == "failed"
    all_over(office, message_id, 8)
    assert len(slack.messages) == 6
    first = slack.messages[0]
    assert [each.thread_ts for each in slack.messages] == [None] + [first.ts] * 5
    assert [each.broadcast for each in slack.messages] == [False] * 5 + [True]
    assert first.text == "<!here> *app/job: attempt 1 failed*"
    assert slack.messages[-1].text == "<!here> *app/job failed*"
    for each in slack.messages:
        check_limits(each)
    told = sorted(post.recipients[0] for post in mailroom.posts)
    assert told == ["ann@example.com", "operations@example.com"]


def test_the_same_failure_is_gathered_and_a_success_says_that_it_works_again(
    office: Office, slack: SlackPlace, mailroom: Mailroom
) -> None:
    notify(office, slack="#gathered", digest="1h")
    fails = office.home / "fails"
    fails.touch()
    office.define("job", f"! [ -e {fails} ]", retry=RetryPolicy(limit=0))
    first = office.enqueue("job")
    office.end_of(first)
    wait_until(lambda: len(slack.messages) == 1, "the first failure is told at once")
    others = [office.enqueue("job") for _ in range(3)]
    for each in others:
        assert office.end_of(each).state == "failed"
    wait_until(lambda: all(map(partial(waits, office), others)), "each has a notice that waits")
    end_the_window(office)
    wait_until(lambda: len(slack.messages) == 2, "the others are told together")
    assert [each.text for each in slack.messages] == [
        "*app/job failed*",
        "*app/job failed 3 times*",
    ]
    states = [told.state for each in others for told in told_of(office, each) if told.same]
    assert sorted(states).count(NoticeState.GATHERED) >= 2
    fails.unlink()
    for expected in (3, 3):
        office.end_of(office.enqueue("job"))
        wait_until(lambda: len(slack.messages) >= 3, "it works again")
        assert len(slack.messages) == expected
    assert slack.messages[-1].text == "*app/job works again*"
    wait_until(
        lambda: any("works again" in post.message["Subject"] for post in mailroom.posts),
        "the admin hears it, too",
    )


def waits(office: Office, message_id: str) -> bool:
    told = [each for each in told_of(office, message_id) if each.channel is Channel.SLACK]
    return [each.state for each in told] == [NoticeState.WAITING]


def end_the_window(office: Office) -> None:
    """Have what was told been told more than an hour ago, so that what waits for that is due."""
    told, errands = tables.posts.notices, tables.posts.outbox

    def age(tx: Tx) -> None:
        long_ago = tx.now - timedelta(hours=2)
        tx.execute(update(told).where(told.c.done_at.is_not(None)).values(done_at=long_ago))
        waiting = (errands.c.kind == notices.NOTICE, errands.c.done_at.is_(None))
        tx.execute(update(errands).where(*waiting).values(due_at=tx.now))

    office.store.write(age)


def test_a_dead_channel_holds_up_no_job_and_no_other_recipient(
    office: Office, mailroom: Mailroom, slack: SlackPlace
) -> None:
    notify(office, slack="#media", hears=["success"])
    slack.answer = lambda _channel: Answer(cut=True, seconds=0.5)
    office.define("job", "exit 0")
    try:
        asked = [
            office.enqueue("job", notify={"email": [f"user{number}@example.com"]})
            for number in range(6)
        ]
        for each in asked:
            assert office.end_of(each).state == "succeeded"
        wait_until(lambda: len(mailroom.posts) == 6, "every user has mail")
        assert slack.messages == []
    finally:
        slack.answer = lambda _channel: None
    wait_until(lambda: len(slack.messages) == 6, "and Slack gets all of it later")
