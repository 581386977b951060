"""Slack as slack-sdk speaks to it: what is posted, what is refused, and with which cure."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from barbeque_py.errors import NoticeRefused, Undelivered
from barbeque_py.notices import Channel, Event, Notice
from barbeque_py.notifiers import slack
from barbeque_py.notifiers.slack import SlackNotifier
from barbeque_py.setting_channels import SlackAccess
from tests.flows.place import free_port
from tests.notices.samples import HOSTILE, a_notice
from tests.notices.slack_place import (
    HOOK,
    MENTION,
    TOKEN,
    Answer,
    Message,
    SlackPlace,
    check_limits,
    serve_slack,
)

HOST = "https://barbeque.example.com"


@pytest.fixture(scope="module")
def served() -> Iterator[SlackPlace]:
    with serve_slack() as place:
        yield place


@pytest.fixture
def place(served: SlackPlace) -> SlackPlace:
    served.messages.clear()
    served.asked.clear()
    served.answer = lambda _channel: None
    return served


@pytest.fixture
def bot(place: SlackPlace) -> SlackNotifier:
    return SlackNotifier(SlackAccess(token=TOKEN), place.api, host_url=HOST)


def a_message(**changes: object) -> Notice:
    target = str(changes.pop("target", "#media"))
    return a_notice(Channel.SLACK, target, **changes)


def test_a_bot_posts_with_colour_facts_lines_and_buttons(
    bot: SlackNotifier, place: SlackPlace
) -> None:
    notice = a_message(mention="<!here>")
    receipt = bot.deliver(notice)
    (message,) = place.messages
    assert (receipt.receipt, message.channel) == (message.ts, "#media")
    assert message.text == "<!here> *media/Encode failed*"
    assert message.attachments[0]["color"] == "#c0392b"
    assert message.id == notice.id
    assert "no space left on device" in message.everything
    assert "It ended with exit code 3." in message.everything
    assert "2 min 5 s" in message.everything
    urls = [each["url"] for each in message.blocks[-1]["elements"]]
    page = f"{HOST}/job_executions/{notice.occasion.message_id}"
    assert urls == [page, f"{page}?attempt=6#log"]
    check_limits(message)


def test_what_follows_hangs_on_the_thread_and_the_end_is_shown_to_the_channel(
    bot: SlackNotifier, place: SlackPlace
) -> None:
    first = bot.deliver(a_message(event=Event.ATTEMPT_FAILED)).receipt
    bot.deliver(a_message(event=Event.ATTEMPT_FAILED, thread=first))
    bot.deliver(a_message(thread=first))
    assert [each.thread_ts for each in place.messages] == [None, first, first]
    assert [each.broadcast for each in place.messages] == [False, False, True]


def test_a_thread_that_somebody_removed_is_begun_anew(
    bot: SlackNotifier, place: SlackPlace
) -> None:
    answers = iter([Answer(error="thread_not_found"), None])
    place.answer = lambda _channel: next(answers)
    bot.deliver(a_message(thread="1600000000.000001"))
    assert [each.thread_ts for each in place.messages] == [None]


@pytest.mark.parametrize("error", ["channel_not_found", "is_archived", "not_in_channel"])
def test_a_definite_no_names_the_cure(bot: SlackNotifier, place: SlackPlace, error: str) -> None:
    place.answer = lambda _channel: Answer(error=error)
    with pytest.raises(NoticeRefused, match=f"{error}: .*(invite|name another)"):
        bot.deliver(a_message())


@pytest.mark.parametrize("error", ["invalid_auth", "token_revoked", "missing_scope"])
def test_what_an_operator_mends_is_tried_again(
    bot: SlackNotifier, place: SlackPlace, error: str
) -> None:
    place.answer = lambda _channel: Answer(error=error)
    with pytest.raises(Undelivered, match=error) as raised:
        bot.deliver(a_message())
    assert raised.value.whole


def test_retry_after_is_kept_to_for_this_channel_alone(
    bot: SlackNotifier, place: SlackPlace
) -> None:
    place.answer = lambda _channel: Answer(429, "ratelimited", {"Retry-After": "17"})
    with pytest.raises(Undelivered, match="17 s") as raised:
        bot.deliver(a_message())
    assert raised.value.retry_after == timedelta(seconds=17)
    assert not raised.value.whole


@pytest.mark.parametrize(
    "answer", [Answer(503, "busy"), Answer(cut=True), Answer(error="fatal_error")]
)
def test_an_outage_is_tried_again(bot: SlackNotifier, place: SlackPlace, answer: Answer) -> None:
    place.answer = lambda _channel: answer
    with pytest.raises(Undelivered) as raised:
        bot.deliver(a_message())
    assert raised.value.whole


def test_a_slack_that_does_not_answer_is_given_up_in_time(
    place: SlackPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slack, "TIMEOUT", 1.0)
    place.answer = lambda _channel: Answer(seconds=2.5)
    bot = SlackNotifier(SlackAccess(token=TOKEN), place.api)
    with pytest.raises(Undelivered, match="timed out"):
        bot.deliver(a_message())


def test_a_slack_that_is_not_there_is_tried_again() -> None:
    bot = SlackNotifier(SlackAccess(token=TOKEN), f"http://127.0.0.1:{free_port()}/api")
    with pytest.raises(Undelivered, match="can't be reached") as raised:
        bot.deliver(a_message())
    assert TOKEN not in str(raised.value)


def test_an_incoming_webhook_posts_without_a_bot(place: SlackPlace) -> None:
    hooked = SlackNotifier(SlackAccess(webhook=place.hook), place.api, host_url=HOST)
    receipt = hooked.deliver(a_message())
    (message,) = place.messages
    assert (message.channel, receipt.receipt) == ("#media", None)
    check_limits(message)


def test_a_definition_may_name_a_webhook_of_its_own(place: SlackPlace) -> None:
    without = SlackNotifier(None, place.api)
    without.deliver(a_message(target=place.hook))
    assert len(place.messages) == 1
    with pytest.raises(NoticeRefused, match=r"no_service: .*make a new one"):
        without.deliver(a_message(target=place.hook + "x"))
    place.answer = lambda _channel: Answer(429, "rate_limited", {"Retry-After": "3"})
    with pytest.raises(Undelivered) as raised:
        without.deliver(a_message(target=place.hook))
    assert raised.value.retry_after == timedelta(seconds=3)
    assert HOOK not in str(raised.value)


def test_without_slack_the_sentence_names_the_setting(place: SlackPlace) -> None:
    with pytest.raises(NoticeRefused, match="BARBEQUE_SLACK"):
        SlackNotifier(None, place.api).deliver(a_message())


OWN_WORDS = {
    "subject": "{{ user_id }} {{ job }}",
    "body": "{{ detail }}\n{% for line in lines %}{{ line }}\n{% endfor %}",
}


def sent(bot: SlackNotifier, place: SlackPlace, notice: Notice) -> Message:
    """Send the notice, and return it as Slack got it."""
    bot.deliver(notice)
    message = place.messages.pop()
    check_limits(message)
    return message


@pytest.mark.parametrize("number", range(60))
def test_nothing_that_a_job_says_mentions_links_or_breaks_the_message(
    bot: SlackNotifier, place: SlackPlace, number: int
) -> None:
    text = HOSTILE[number]
    hostile = {"detail": text, "user_id": text, "lines": (text, "the end", text)}
    notice = a_message(**hostile, queue=text, result=text, count=3)
    message = sent(bot, place, notice)
    assert MENTION.search(message.everything.replace(f"{HOST}/", "")) is None
    (lines,) = [
        each["text"]["text"]
        for each in message.blocks
        if each["type"] == "section" and "```" in each.get("text", {}).get("text", "")
    ]
    assert lines.count("```") == 2
    hooked = SlackNotifier(SlackAccess(webhook=place.hook), place.api)
    own = sent(hooked, place, replace(notice, templates=OWN_WORDS))
    assert MENTION.search(own.everything) is None


def test_the_longest_that_may_come_fits(bot: SlackNotifier, place: SlackPlace) -> None:
    occasion = {"lines": ("&" * 300,) * 20, "detail": "<" * 4000, "user_id": "&" * 255}
    names = {"app": "a" * 128, "job": "j" * 128, "queue": "q" * 80, "mention": "m" * 300}
    message = sent(bot, place, a_message(**occasion, **names, result="&" * 1000))
    assert message.text.startswith("m" * 300 + " *a")


def test_every_event_fits_in_every_language(bot: SlackNotifier, place: SlackPlace) -> None:
    for event in Event:
        for locale in ("en", "ja"):
            sent(bot, place, replace(a_message(event=event, expected=60.0), locale=locale))
