"""What settling leaves behind where an end may concern somebody, and whom that turns out to be."""

from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from barbeque_py.apps import App
from barbeque_py.backoff import RetryPolicy
from barbeque_py.cancel import cancel
from barbeque_py.ids import new_message_id
from barbeque_py.notices import Audience, Channel, Event, Hear, Notice, NoticeState, Occasion, User
from barbeque_py.outcomes import Fate, Reason
from barbeque_py.store import Store, address_book, apps, channels, notices, outbox, reports
from barbeque_py.store.database import Tx
from barbeque_py.store.notices import Kept
from barbeque_py.tell import Tail, errands_of_late, tell
from tests.store.world import (
    FAILURE,
    PLACE,
    SUCCESS,
    claim_one,
    define,
    end,
    enqueue,
    find,
    later,
    mark_running,
)

MINUTE = timedelta(minutes=1)
EVENTS = {*Event}
NEVER = RetryPolicy(limit=0)


def errands(store: Store) -> list[str]:
    """Return what people are to be told of, by kind."""
    found = store.write(lambda tx: outbox.take(tx, "w", [PLACE], most=50, lease=MINUTE, busy=[]))
    return [each.kind for each in found if each.kind in EVENTS]


def tell_all(store: Store, *admins: str) -> list[Kept]:
    """Tell whatever is to be told, and return all notices, the first one first."""
    later(store, seconds=61)
    for item in store.write(
        lambda tx: outbox.take(tx, "w", [PLACE], most=50, lease=MINUTE, busy=[])
    ):
        if item.kind in EVENTS:
            store.write(lambda tx, item=item: tell(tx, item, Tail(), admins=admins))  # type: ignore[misc]
    return store.read(notices.newest)[::-1]


def rule(store: Store, **rules: object) -> None:
    store.write(lambda tx: apps.put_app(tx, App("media", "media:1", notify=rules)))


def run(store: Store, fate: Fate, **options: Any) -> str:
    message_id = enqueue(store, **options)
    end(store, claim_one(store, message_id), fate)
    return message_id


def test_a_success_that_concerns_nobody_leaves_nothing(store: Store) -> None:
    define(store)
    rule(store, slack="#media")
    run(store, SUCCESS)
    assert errands(store) == []


@pytest.mark.parametrize(
    ("options", "rules", "fate", "told"),
    [
        ({"user_id": "u"}, {}, SUCCESS, ["succeeded"]),
        ({"notify": {"email": ["a@example.com"]}}, {}, SUCCESS, ["succeeded"]),
        ({}, {"slack": "#m", "hears": ["success"]}, SUCCESS, ["succeeded"]),
        ({"user_id": "u"}, {}, FAILURE, []),
        ({}, {"slack": "#m", "hears": ["attempt"]}, FAILURE, ["attempt failed"]),
        ({}, {"hears": ["attempt"]}, FAILURE, []),
        ({"user_id": "u"}, {"slack": "#m"}, Fate(Reason.INTERRUPTED), []),
    ],
)
def test_what_may_concern_somebody_is_left_to_be_told(
    sqlite_store: Store, options: dict[str, object], rules: object, fate: Fate, told: list[str]
) -> None:
    define(sqlite_store)
    rule(sqlite_store, **rules)  # type: ignore[arg-type]
    run(sqlite_store, fate, **options)
    assert errands(sqlite_store) == told


def test_whom_an_end_concerns_is_worked_out_once(store: Store) -> None:
    define(store, retry=NEVER, notify={"email": ["team@example.com", "ops@example.com"]})
    rule(store, slack="#media", email=["nobody@example.com"])
    user = User("media", "u", ("ann@example.com",), slack="U024BE7LH")
    store.write(lambda tx: address_book.put(tx, user))
    message_id = run(store, FAILURE, user_id="u", notify={"email": ["ann@example.com"]})
    made = tell_all(store, "ops@example.com", "boss@example.com")
    assert [(each.audience, each.channel, each.target) for each in made] == [
        ("user", "email", "ann@example.com"),
        ("user", "slack", "U024BE7LH"),
        ("admins", "email", "team@example.com"),
        ("admins", "email", "ops@example.com"),
        ("admins", "slack", "#media"),
        ("admins", "email", "boss@example.com"),
    ]
    occasion = made[0].occasion
    assert (occasion.attempts, occasion.tries, occasion.exit_code) == (1, 1, 1)
    number = find(store, message_id).id
    item = outbox.Item(0, Event.FAILED, "", f"{message_id}-1", 0, None)
    assert store.write(lambda tx: tell(tx, item, Tail())) > 0
    assert store.read(lambda tx: notices.of_execution(tx, number)) == made


def test_a_user_hears_what_they_wish_to(store: Store) -> None:
    define(store, retry=NEVER)
    for name, hears in (("never", ()), ("good", (Hear.SUCCESS,)), ("bad", (Hear.FAILURE,))):
        user = User("media", name, (f"{name}@example.com",), hears=frozenset(hears))
        store.write(lambda tx, user=user: address_book.put(tx, user))  # type: ignore[misc]
        run(store, SUCCESS, user_id=name)
        run(store, FAILURE, user_id=name)
    told = [(each.target, each.event) for each in tell_all(store)]
    assert told == [("good@example.com", "succeeded"), ("bad@example.com", "failed")]


def test_a_result_is_told_with_the_end(store: Store) -> None:
    define(store, retry=NEVER)
    for result in ('{"pages":3}', f'"{"x" * 2000}"'):
        message_id = enqueue(store, notify={"email": ["ann@example.com"]})
        attempt = claim_one(store, message_id)
        told = {"result": result}
        store.write(partial(reports.put, attempt=attempt, told=told))
        end(store, attempt, SUCCESS)
    short, long = (each.occasion.result for each in tell_all(store))
    assert short == '{"pages":3}'
    assert long == '"' + "x" * 999 + "…"


def test_a_success_after_failures_is_told_once_to_those_told_of_them(store: Store) -> None:
    define(store, retry=NEVER)
    rule(store, slack="#media", hears=["success", "failure"])
    run(store, FAILURE)
    run(store, FAILURE)
    tell_all(store)
    run(store, SUCCESS)
    run(store, SUCCESS)
    assert [each.event for each in tell_all(store)] == [
        "failed",
        "failed",
        "recovered",
        "succeeded",
    ]


def test_a_cancelled_execution_is_told_to_programs_that_wait_for_it(store: Store) -> None:
    define(store)
    waited = enqueue(store, notify={"webhook": "https://example.com/hook"})
    enqueue(store, user_id="u")
    store.write(lambda tx: cancel(tx, waited))
    (made,) = tell_all(store)
    assert (made.event, made.channel) == ("cancelled", "webhook")


def test_an_attempt_that_takes_too_long_is_warned_of_once(store: Store) -> None:
    define(store, expected=10 * MINUTE)
    define(store, job="Quick")
    rule(store, email=["team@example.com"])
    enqueue(store, user_id="u")
    enqueue(store, job="Quick")
    for _ in range(2):
        mark_running(store, claim_one(store))

    def look() -> None:
        store.write(lambda tx: outbox.put(tx, errands_of_late(tx)))

    look()
    assert tell_all(store) == []
    later(store, minutes=10)
    look()
    look()
    (made,) = tell_all(store)
    assert (made.event, made.target, made.occasion.job) == ("late", "team@example.com", "Encode")
    assert made.occasion.expected == 600.0
    look()
    assert len(tell_all(store)) == 1


def test_notices_are_forgotten_with_their_deliveries_once_they_are_over(store: Store) -> None:
    define(store, retry=NEVER)
    rule(store, email=["team@example.com"])
    run(store, FAILURE, user_id="nobody")
    made = tell_all(store)
    assert [each.state for each in made] == ["nobody", "waiting"]
    later(store, days=100)
    assert store.write(lambda tx: notices.forget(tx, timedelta(days=90), 10)) == 1
    (left,) = store.read(notices.newest)
    assert left.state == "waiting"


def test_an_address_that_was_reached_since_is_not_dead_however_much_others_are_told(
    store: Store,
) -> None:
    tell_each(store, {"mended": NoticeState.REFUSED, "dead": NoticeState.REFUSED})
    tell_each(store, {"mended": NoticeState.DELIVERED})
    tell_each(store, dict.fromkeys(("busy0", "busy1"), NoticeState.DELIVERED), times=100)
    found = {each.target: each.dead for each in store.read(channels.read)}
    assert found == {"busy0": False, "busy1": False, "mended": False, "dead": True}
    assert store.read(channels.read)[0].target == "dead"
    assert store.read(lambda tx: channels.read(tx, app="other")) == []


def tell_each(store: Store, told: dict[str, NoticeState], *, times: int = 1) -> None:
    """Have a notice to each of these addresses end so, as often as that."""

    def record(tx: Tx) -> None:
        made = [
            Notice(new_message_id(), Channel.SLACK, target, Audience.ADMINS, OCCASION)
            for target in list(told) * times
        ]
        notices.add(tx, None, made)
        for each in made:
            kept = notices.get(tx, each.id)
            assert kept is not None
            notices.end(tx, kept.id, told[each.target])

    store.write(record)


OCCASION = Occasion(Event.SUCCEEDED, "media", "Thumbnail", "")
