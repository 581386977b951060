"""`barbeque check` says over which channels people are told, and sends a test on demand."""

from collections.abc import Iterator

import pytest

from barbeque_py.cli.exits import Failure
from barbeque_py.cli.finding import NOTE, OK
from barbeque_py.cli.findings_notices import look_at_notices, send_test
from barbeque_py.errors import ConfigurationError, NoticeRefused
from barbeque_py.settings import Settings
from tests.notices.mailroom import Mailroom, serve_mail
from tests.notices.slack_place import TOKEN, Answer, SlackPlace, serve_slack


@pytest.fixture(scope="module")
def room() -> Iterator[Mailroom]:
    with serve_mail() as served:
        yield served


@pytest.fixture(scope="module")
def slack() -> Iterator[SlackPlace]:
    with serve_slack() as place:
        yield place


@pytest.fixture
def settings(room: Mailroom, slack: SlackPlace) -> Settings:
    return Settings.from_environment(
        {
            "BARBEQUE_MAIL": f"smtp://127.0.0.1:{room.port}",
            "BARBEQUE_MAIL_FROM": "jobs@example.com",
            "BARBEQUE_SLACK": TOKEN,
            "BARBEQUE_SLACK_API": slack.api,
        }
    )


def test_a_test_is_sent_to_an_address_of_either_kind(
    settings: Settings, room: Mailroom, slack: SlackPlace
) -> None:
    assert send_test(settings, "ann@example.com").level == OK
    assert room.posts[0].message["Subject"] == "A test notice of barbeque"
    assert "posted to" in send_test(settings, "#media").sentence
    assert slack.messages[0].text == "*A test notice of barbeque*"
    slack.answer = lambda _channel: Answer(error="channel_not_found")
    with pytest.raises(NoticeRefused, match="invite the bot"):
        send_test(settings, "#gone")
    with pytest.raises(Failure, match=r"write ann@example\.com"):
        send_test(settings, "<!channel>")


def test_it_says_over_what_people_are_told(settings: Settings) -> None:
    assert look_at_notices(settings).level == OK
    nothing = look_at_notices(Settings.from_environment({}))
    assert (nothing.level, "BARBEQUE_MAIL" in nothing.sentence) == (NOTE, True)
    with pytest.raises(ConfigurationError, match="BARBEQUE_MAIL_FROM"):
        look_at_notices(Settings.from_environment({"BARBEQUE_MAIL": "smtp://localhost"}))
