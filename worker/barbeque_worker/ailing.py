"""Which lanes of the outbox failed last time: they may hold up each other, but no other lane."""

import threading
from collections import OrderedDict

from barbeque_py.store.outbox import Item, Kind

_MOST = 500
"""How many lanes are remembered; of others the item itself tells that it failed."""
_SLOW = 3.0
"""Seconds after which a lane holds up others as one that fails does."""


class Ailing:
    """What this worker remembers of lanes; safe to use from many threads."""

    def __init__(self) -> None:
        self._lanes: OrderedDict[str, None] = OrderedDict()
        self._guard = threading.Lock()

    def note(self, lane: str, *, seconds: float, failed: bool = False, whole: bool = False) -> None:
        """Remember how it went; `whole` says that all lanes of the channel are affected."""
        ways = [lane, channel_of(lane)] if whole else [lane]
        with self._guard:
            if not failed and seconds < _SLOW:
                for each in (lane, channel_of(lane)):
                    self._lanes.pop(each, None)
                return
            for each in ways:
                self._lanes[each] = None
                self._lanes.move_to_end(each)
            while len(self._lanes) > _MOST:
                self._lanes.popitem(last=False)

    def is_ailing(self, item: Item) -> bool:
        """Tell whether the item's lane failed last time."""
        with self._guard:
            known = item.lane in self._lanes or channel_of(item.lane) in self._lanes
        return known or item.tries > 0

    def kind(self, *, ailing: bool) -> Kind:
        """Return the kind of lanes that fail, or that of the others, as the outbox is asked."""
        with self._guard:
            known = list(self._lanes)
        channels = [each for each in known if each.endswith("/")]
        return Kind(ailing, [each for each in known if not each.endswith("/")], channels)


def channel_of(lane: str) -> str:
    """Return what all lanes of the channel begin with."""
    return lane.partition("/")[0] + "/"
