"""Send a notice once more on request, or one that tests whether people can be told."""

from collections.abc import Sequence
from dataclasses import replace

from barbeque_py.errors import NoAddress
from barbeque_py.ids import new_message_id
from barbeque_py.notices import (
    Audience,
    Channel,
    Event,
    Notice,
    NoticeState,
    Occasion,
    notice_id,
    rules_of,
)
from barbeque_py.store import Tx, apps, notices, outbox
from barbeque_py.store.notices import Kept
from barbeque_py.tell import put, sending_of

Address = tuple[Channel, str]


def send_again(tx: Tx, kept: Kept) -> None:
    """Send the notice again, at once and under its id; raises `NoAddress`."""
    if kept.state is NoticeState.NOBODY:
        raise NoAddress(f"{kept.reason}; the notice has no address to be sent to")
    notices.wait_again(tx, kept.id)
    outbox.put_again(tx, sending_of(kept.notice_id, kept.channel, kept.target))


def send_test(tx: Tx, app: str, job: str | None, addresses: Sequence[Address]) -> list[str]:
    """Send a test to these addresses, or to all that the app and job name; return the ids.

    Raises `NoAddress` when they name none.
    """
    of_app = apps.telling(tx, [app]).get(app)
    of_job = apps.get_job(tx, app, job) if job else None
    rules = rules_of(of_app.notify if of_app else {}, of_job.notify if of_job else {})
    chosen: list[Address] = list(addresses)
    if not chosen:
        chosen = [(Channel.EMAIL, each) for each in rules.email]
        chosen += [(Channel.SLACK, rules.slack)] if rules.slack else []
        chosen += [(Channel.WEBHOOK, rules.webhook)] if rules.webhook else []
    if not chosen:
        raise NoAddress(f"the app {app} names nobody to tell: name an address, or set its `notify`")
    # An id of its own makes each test another notice than the one before.
    occasion = Occasion(Event.TEST, app, job or "", new_message_id())
    made = [
        Notice(
            notice_id(occasion, channel, target),
            channel,
            target,
            Audience.ADMINS,
            replace(occasion, message_id=""),
            locale=rules.locale,
        )
        for channel, target in dict.fromkeys(chosen)
    ]
    put(tx, None, made)
    return [each.id for each in made]
