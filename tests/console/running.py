"""An installation at work: workers of every standing, and what is held back."""

from datetime import timedelta

from barbeque_py.apps import Subscription
from barbeque_py.executor import Quota
from barbeque_py.notices import NoticeState
from barbeque_py.schedules import CatchUp, Overlap, Schedule
from barbeque_py.store import Tx, notices, pauses, quotas, schedules, subscriptions, workers
from barbeque_py.store.notices import Delivery
from tests.console.rigs import PLACE, Place

CLUSTER = "arn:aws:ecs:eu-west-1:123456789012:cluster/barbeque-production"
DEAD, DRAINED, WORKING = (f"ip-10-0-0-{n}.abcdef01.4026/7/99/w{n}" for n in (1, 2, 3))


def refused(tx: Tx) -> str:
    """Return the id of a notice that was refused, after two tries."""
    [kept] = notices.newest(tx, state=NoticeState.REFUSED, most=1)
    return kept.notice_id


def fill_running(place: Place) -> None:
    """Let one worker be silent, one drained and one at work; a size has no room."""
    place.store.shift = -timedelta(minutes=10)
    place.store.write(lambda tx: workers.see(tx, DEAD, PLACE, version="1.2.0"))
    place.store.shift = timedelta(0)

    def fill(tx: Tx) -> None:
        workers.see(tx, DRAINED, CLUSTER, ("default", "slow"), version="1.2.0")
        workers.set_drained(tx, DRAINED, drained=True)
        workers.see(tx, WORKING, CLUSTER, version="1.3.0")
        reason = "RESOURCE:MEMORY: no container instance met all of its requirements. " + "u" * 80
        pauses.pause(tx, f"{pauses.ROOM}{CLUSTER}/4096x16384", reason)
        for name, rules in (
            ("nightly", {"overlap": Overlap.WAIT, "timezone": "Europe/Berlin"}),
            ("hourly-with-a-long-name", {"overlap": Overlap.SKIP, "catch_up": CatchUp.ALL}),
        ):
            schedules.put(tx, Schedule("media", "Encode", name, "17 3 * * *", **rules))
        topic = "arn:aws:sns:eu-west-1:123456789012:uploads-of-all-kinds-of-films"
        subscriptions.put(tx, Subscription(topic, "default", "media", "Encode"))
        for kept in notices.newest(tx, state=NoticeState.REFUSED, most=1):
            sent = "POST https://hooks.slack.com/***\n\n" + "{" + "s" * 300 + "}"
            for outcome in ("failed", "refused"):
                notices.record(tx, kept.id, Delivery(tx.now, 0.31, outcome, sent, "404 no_service"))
        quotas.spend(tx, [Quota("ecs:123456789012:eu-west-1:run", burst=100, rate=19.4)], 150)
        quotas.spend(tx, [Quota("ecs:123456789012:eu-west-1:describe", burst=100, rate=19.4)], 1)

    place.store.write(fill)
