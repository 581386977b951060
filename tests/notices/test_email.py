"""Email against a real mail server: encrypted, with a login, and harmless whatever is in it."""

import html
import ssl
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from barbeque_py.errors import NoticeRefused, Undelivered
from barbeque_py.letter_forms import as_html, as_text
from barbeque_py.letters import write
from barbeque_py.notices import Event
from barbeque_py.notifiers.email import EmailNotifier, SmtpPost
from barbeque_py.phrases import phrases
from barbeque_py.setting_channels import MailUrl, Sender
from tests.flows.place import free_port
from tests.notices.mailroom import (
    CUT,
    OK,
    PASSWORD,
    USER,
    Certificate,
    Mailroom,
    make_certificate,
    serve_mail,
)
from tests.notices.samples import HOSTILE, a_notice

pytestmark = pytest.mark.filterwarnings("ignore:Requiring AUTH")
SENDER = Sender("jobs@example.com", "Barbeque")
HOST = "https://barbeque.example.com"
HEADERS = {
    "from",
    "to",
    "subject",
    "date",
    "message-id",
    "references",
    "auto-submitted",
    "x-auto-response-suppress",
    "list-unsubscribe",
    "mime-version",
    "content-type",
}


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("mail"))


@pytest.fixture(scope="module", params=["smtps", "starttls"])
def encrypted(
    request: pytest.FixtureRequest, certificate: Certificate
) -> Iterator[tuple[str, Mailroom]]:
    with serve_mail(certificate, kind=request.param) as room:
        yield request.param, room


@pytest.fixture(scope="module")
def plain() -> Iterator[Mailroom]:
    with serve_mail() as room:
        yield room


@pytest.fixture
def room(plain: Mailroom) -> Mailroom:
    plain.posts.clear()
    plain.answer = lambda _recipient, _stage: OK
    return plain


def notifier(room: Mailroom) -> EmailNotifier:
    return EmailNotifier(SmtpPost(MailUrl("smtp", "127.0.0.1", room.port)), SENDER, host_url=HOST)


def trusting(certificate: Certificate) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(certificate.certificate))


def test_mail_goes_encrypted_and_after_a_login(
    encrypted: tuple[str, Mailroom], certificate: Certificate
) -> None:
    kind, room = encrypted
    room.posts.clear()
    url = MailUrl(kind, "127.0.0.1", room.port, USER, PASSWORD)
    EmailNotifier(SmtpPost(url, context=trusting(certificate)), SENDER).deliver(a_notice())
    (post,) = room.posts
    assert post.sender == "jobs@example.com"


def test_a_wrong_password_is_told_without_it(
    encrypted: tuple[str, Mailroom], certificate: Certificate
) -> None:
    kind, room = encrypted
    url = MailUrl(kind, "127.0.0.1", room.port, USER, "canary-wrong")
    post = SmtpPost(url, context=trusting(certificate))
    with pytest.raises(Undelivered, match="check BARBEQUE_MAIL") as raised:
        EmailNotifier(post, SENDER).deliver(a_notice())
    assert raised.value.whole
    assert "canary" not in str(raised.value) + repr(url)


def test_a_certificate_that_nobody_trusts_gets_no_password(
    encrypted: tuple[str, Mailroom],
) -> None:
    kind, room = encrypted
    url = MailUrl(kind, "127.0.0.1", room.port, USER, PASSWORD)
    with pytest.raises(Undelivered, match="certificate"):
        EmailNotifier(SmtpPost(url), SENDER).deliver(a_notice())


def test_a_message_says_what_mail_programs_need_and_the_same_each_time(room: Mailroom) -> None:
    notice = a_notice()
    for _ in range(2):
        notifier(room).deliver(notice)
    first, second = (post.message for post in room.posts)
    assert first["Message-ID"] == second["Message-ID"] == f"<{notice.id}@example.com>"
    assert first["From"] == "Barbeque <jobs@example.com>"
    assert first["To"] == "ann@example.com"
    assert first["Auto-Submitted"] == "auto-generated"
    assert first["List-Unsubscribe"].startswith("<mailto:jobs@example.com?subject=unsubscribe%20")
    assert {each.lower() for each in first} == HEADERS
    text = room.posts[0].text
    assert text.startswith("media/Encode failed\n\nIt ended with exit code 3.\n")
    assert "Last lines of the log (1,234 lines before these):\n    opening /in" in text
    assert f"Open the log: {HOST}/job_executions/{notice.occasion.message_id}?attempt=6#log" in text


def test_people_are_told_in_their_language(room: Mailroom) -> None:
    notifier(room).deliver(a_notice(locale="ja", time_zone="Asia/Tokyo"))
    (post,) = room.posts
    assert post.message["Subject"] == "media/Encode が失敗しました"
    assert "終了コード 3 で終了しました。" in post.text
    assert "2026-11-27 21:02:05 JST" in post.text
    assert 'lang="ja"' in post.html


@pytest.mark.parametrize(
    ("answer", "raised"),
    [
        ("451 come back", Undelivered),
        ("550 no such mailbox", NoticeRefused),
        (CUT, Undelivered),
    ],
)
def test_what_the_server_answers_decides(
    room: Mailroom, answer: str, raised: type[Exception]
) -> None:
    room.answer = lambda _recipient, stage: answer if stage == "data" else OK
    with pytest.raises(raised):
        notifier(room).deliver(a_notice())
    assert room.posts == []


def test_a_server_that_is_not_there_is_tried_again() -> None:
    away = EmailNotifier(SmtpPost(MailUrl("smtp", "127.0.0.1", free_port())), SENDER)
    with pytest.raises(Undelivered, match="can't be reached") as raised:
        away.deliver(a_notice())
    assert raised.value.whole


@pytest.mark.parametrize("number", range(60))
def test_nothing_in_a_notice_makes_a_header_or_markup(room: Mailroom, number: int) -> None:
    text = HOSTILE[number]
    hostile: dict[str, Any] = {"detail": text, "user_id": text, "lines": (text, "the end")}
    notifier(room).deliver(a_notice(**hostile, queue=text, app=text[:100] or "x", job=text[:100]))
    (post,) = room.posts
    assert post.recipients == ("ann@example.com",)
    assert {each.lower() for each in post.message} == HEADERS
    assert "\n" not in post.message["Subject"]
    assert len(post.message["Subject"]) <= 200
    tags = ("<script", "<img", "<iframe", "<h1>owned", "<meta http", "<style>*")
    assert not any(tag in post.html for tag in tags)
    assert "\x1b" not in post.text + post.html
    assert "the end" in post.text


@pytest.mark.parametrize("event", list(Event))
def test_every_word_has_its_japanese(event: Event) -> None:
    """What differs from the English is said in Japanese: no phrase was forgotten."""
    notice = a_notice(event=event, expected=60.0, count=1)
    for reason in ("exited", "timed out", "vanished", "interrupted", "never started"):
        notice = replace(notice, occasion=replace(notice.occasion, reason=reason))
        english = write(notice, HOST)
        japanese = write(replace(notice, locale="ja"), HOST)
        assert english.subject != japanese.subject
        pairs = zip(english.sentences, japanese.sentences, strict=True)
        assert all(first != second for first, second in pairs)
        labels = zip(english.facts, japanese.facts, strict=True)
        assert all(first.label != second.label for first, second in labels)
        assert all(
            first.label != second.label
            for first, second in zip(english.links, japanese.links, strict=True)
        )


def test_no_phrase_of_the_catalogue_is_left_over() -> None:
    source = "".join(
        (Path(__file__).parents[2] / "barbeque_py" / name).read_text()
        for name in ("letters.py", "letter_forms.py")
    )
    assert [each for each in phrases("ja") if f'"{each}"' not in source] == []


def test_a_page_without_facts_is_a_page() -> None:
    notice = a_notice(event=Event.TEST, lines=(), message_id="", user_id=None)
    page = as_html(write(notice, None), Event.TEST, locale="en")
    assert page.count("<table") == page.count("</table>")


def test_a_job_s_result_stands_among_the_facts() -> None:
    notice = a_notice(result='{"pages":3}')
    letter = write(notice, None)
    assert 'Result: {"pages":3}\n' in as_text(letter)
    page = as_html(letter, notice.occasion.event, locale="en")
    assert '{"pages":3}' in html.unescape(page)
