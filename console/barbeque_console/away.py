"""Which system is away, since when, and what still works without it."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from barbeque_console.tongue import gettext
from barbeque_console.tongue import mark as _
from barbeque_py import clock
from barbeque_py.errors import (
    BrokerUnavailable,
    ExecutorUnavailable,
    LogStoreUnavailable,
    OutsideError,
    StoreUnavailable,
)

RETRY_AFTER = 5
"""Seconds after which a page that could not be shown may be asked for again."""

_FORGOTTEN = timedelta(minutes=1)
"""A system that nobody missed for so long has been back meanwhile."""
_SAID: tuple[tuple[type[OutsideError], str, str], ...] = (
    (
        StoreUnavailable,
        _("The database can't be used right now."),
        _("Jobs that run go on, and with SQS messages are still accepted."),
    ),
    (
        LogStoreUnavailable,
        _("The log store does not answer right now."),
        _("All but logs still works; what jobs write is kept where they run until it is back."),
    ),
    (
        BrokerUnavailable,
        _("The queues' broker does not answer right now."),
        _("Pages can be read, and what was taken in goes on; it is not known what was sent."),
    ),
    (
        ExecutorUnavailable,
        _("What runs the containers does not answer right now."),
        _("Pages can be read and messages are accepted; what runs goes on."),
    ),
    (OutsideError, _("A system that the console needs does not answer right now."), ""),
)
_CURE = _(
    "Nothing is lost: it works again as soon as that system does. "
    "`barbeque check` names the setting and the cure, and so does this server's log."
)


@dataclass(slots=True)
class _Missed:
    first: datetime
    last: datetime


class Outages:
    """Remembers since when each system is missed, as far as this server has seen."""

    def __init__(self) -> None:
        self._missed: dict[str, _Missed] = {}

    def describe(self, error: OutsideError) -> tuple[str, str]:
        """Return what is away, and since when, what still works, and the cure."""
        sentence, still = next((a, b) for kind, a, b in _SAID if isinstance(error, kind))
        since = gettext("Missed since %(when)s.") % {
            "when": f"{self._since(sentence):%H:%M:%S} UTC"
        }
        return gettext(sentence), " ".join(filter(None, [since, gettext(still), gettext(_CURE)]))

    def _since(self, system: str) -> datetime:
        now = clock.now()
        known = self._missed.get(system)
        if known is None or now - known.last > _FORGOTTEN:
            known = self._missed[system] = _Missed(now, now)
        known.last = now
        return known.first
