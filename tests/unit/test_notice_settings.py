"""The settings of notices: what they may be, and that no error tells a secret."""

import pytest

from barbeque_py.errors import ConfigurationError
from barbeque_py.notices import Channel
from barbeque_py.setting_channels import MailUrl, Sender, SlackAccess
from barbeque_py.settings import Settings
from barbeque_py.wiring.notifiers import open_notifiers


def read(**given: str) -> Settings:
    return Settings.from_environment({f"BARBEQUE_{name}": value for name, value in given.items()})


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("smtps://ann:p%40ss@mail.example.com", ("smtps", "mail.example.com", 465, "ann", "p@ss")),
        ("starttls://a:b@mail.example.com:2525", ("starttls", "mail.example.com", 2525, "a", "b")),
        ("smtp://[::1]:25", ("smtp", "::1", 25)),
        ("smtp://a:b@localhost", ("smtp", "localhost", 25, "a", "b")),
        ("ses:", ("ses",)),
    ],
)
def test_mail_goes_by_a_server_or_by_ses(text: str, url: tuple[object, ...]) -> None:
    assert read(MAIL=text).mail == MailUrl(*url)  # type: ignore[arg-type]
    region = read(MAIL="ses:?region=eu-west-1").mail
    assert region is not None
    assert region.region == "eu-west-1"


@pytest.mark.parametrize(
    "text",
    [
        "smtp://ann:canary@mail.example.com",
        "smtps://ann:can@ary@mail.example.com",
        "smtps://ann:canary@mail.example.com:99999",
        "https://ann:canary@mail.example.com",
        "smtps:ann:canary@mail.example.com",
        "ses:?canary=1",
    ],
)
def test_what_is_wrong_with_mail_is_said_without_the_password(text: str) -> None:
    with pytest.raises(ConfigurationError, match="BARBEQUE_MAIL is") as raised:
        read(MAIL=text)
    if "@" in text:
        assert "canary" not in str(raised.value)


@pytest.mark.parametrize(
    ("text", "sender"),
    [
        ("jobs@example.com", Sender("jobs@example.com")),
        ("The Barbeque <jobs@example.com>", Sender("jobs@example.com", "The Barbeque")),
    ],
)
def test_the_sender_is_an_address_with_or_without_a_name(text: str, sender: Sender) -> None:
    assert read(MAIL_FROM=text).mail_from == sender


@pytest.mark.parametrize("text", ["jobs", "A, B <jobs@example.com>", "<jobs@example.com", "a@b\n"])
def test_any_other_sender_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="BARBEQUE_MAIL_FROM"):
        read(MAIL_FROM=text)


def test_slack_is_a_bot_or_a_webhook_and_never_shown() -> None:
    token = "xoxb-123-canary-456"
    settings = read(SLACK=token)
    assert settings.slack == SlackAccess(token=token)
    assert "canary" not in repr(settings) + repr(settings.slack)
    hook = "https://hooks.slack.com/services/T/B/canary"
    assert read(SLACK=hook).slack == SlackAccess(webhook=hook)
    for wrong in ("xoxp-canary", "https://canary.example.com/hook", "http://hooks.slack.com/x"):
        with pytest.raises(ConfigurationError, match="BARBEQUE_SLACK") as raised:
            read(SLACK=wrong)
        assert "canary" not in str(raised.value)


def test_admins_are_addresses() -> None:
    assert read(ADMIN_EMAIL="a@example.com, b@example.com").admin_email == (
        "a@example.com",
        "b@example.com",
    )
    with pytest.raises(ConfigurationError, match="BARBEQUE_ADMIN_EMAIL"):
        read(ADMIN_EMAIL="everybody")


def test_mail_needs_a_sender() -> None:
    with pytest.raises(ConfigurationError, match="BARBEQUE_MAIL_FROM is not set"):
        open_notifiers(read(MAIL="smtp://localhost"))
    there = open_notifiers(read(MAIL="smtp://localhost", MAIL_FROM="jobs@example.com"))
    assert there.keys() >= {Channel.EMAIL, Channel.SLACK}
