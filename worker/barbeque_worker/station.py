"""What every loop of one worker shares: who it is, where it works, and with what."""

import os
import secrets
import socket
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from barbeque_py import clock
from barbeque_py.executor import Executor, Sighting
from barbeque_py.ids import AttemptId
from barbeque_py.logstore import LogStore
from barbeque_py.settle import Told, settle_all
from barbeque_py.shipment import Shipping
from barbeque_py.start import Claimant
from barbeque_py.store import Store, Tx, leases, outbox
from barbeque_worker.capacity import Capacity

_FRESH = 5.0
"""Seconds for which the list of places is not read again."""


@dataclass(slots=True)
class Lease:
    """How long this worker may act on its claims, by a clock that no one can turn back."""

    length: timedelta
    _valid_until: float = 0.0
    _guard: threading.Lock = field(default_factory=threading.Lock)

    def renewed(self, asked_at: float) -> None:
        """Note a renewal that was asked for at this monotonic second."""
        with self._guard:
            self._valid_until = max(self._valid_until, asked_at + self.length.total_seconds())

    def good(self) -> bool:
        """Tell whether a start may be called now: the lease outlives the call by far."""
        with self._guard:
            margin = self.length.total_seconds() / 2
            return clock.monotonic() < self._valid_until - margin


class Places:
    """The places this worker's executor speaks to, those with work left looked up now and then."""

    def __init__(self, store: Store, executor: Executor) -> None:
        self._store = store
        self._executor = executor
        self._others: list[str] = []
        self._read_at = -_FRESH

    def current(self) -> list[str]:
        """Return where attempts may be started, rescued, stopped and judged."""
        usual = self._executor.place()
        return [usual, *(each for each in self._served() if not self._executor.former(each))]

    def former(self) -> list[str]:
        """Return the places with work left that had their name before, as before a reboot."""
        return [each for each in self._served() if self._executor.former(each)]

    def _served(self) -> list[str]:
        if clock.monotonic() - self._read_at >= _FRESH:
            known = self._store.read(lambda tx: {*leases.live_places(tx), *outbox.places(tx)})
            known.discard(self._executor.place())
            self._others = sorted(place for place in known if self._executor.serves(place))
            self._read_at = clock.monotonic()
        return self._others


@dataclass(frozen=True, slots=True)
class Station:
    """One worker's own name and place, and the parts it works with."""

    owner: str
    store: Store
    executor: Executor
    logs: LogStore
    lease: Lease
    shipping: Shipping
    places: Places
    capacity: Capacity
    docker_registry: str | None = None
    mine: set[AttemptId] = field(default_factory=set)
    """Live attempts that this worker started or adopted: it acts on their events at once."""

    def settle(self, attempt: AttemptId, told: Told) -> bool:
        """Settle the attempt; False when another was first."""
        return self.settle_all({attempt: told})

    def settle_all(self, told: Mapping[AttemptId, Told]) -> bool:
        """Settle the attempts in one transaction; False when others were first with all."""
        if not told:
            return False
        self.mine.difference_update(told)
        log_wait = next(iter(self.executor.traits.log_waits), timedelta(0))
        return self.store.write_each(_settle_lots, (told, log_wait))

    @property
    def claimant(self) -> Claimant:
        """Who claims, where, and for how long."""
        return Claimant(self.owner, self.executor.place(), self.lease.length)


def _settle_lots(tx: Tx, lots: Sequence[tuple[Mapping[AttemptId, Told], timedelta]]) -> list[bool]:
    """Settle what several threads were told of, and say whose ends were news."""
    told: dict[AttemptId, Told] = {}
    for lot, _ in lots:
        told = {**lot, **told}
    settled = set(settle_all(tx, told, log_wait=lots[0][1]))
    news = []
    for lot, _ in lots:
        news.append(not settled.isdisjoint(lot))
        settled -= lot.keys()
    return news


def end_of(sighting: Sighting) -> Told:
    """Return what the sighting of an attempt that has ended tells of its end."""
    assert sighting.fate is not None, "an executor tells the fate of what has ended"
    return Told(sighting.fate, sighting.handle, sighting.report)


def new_owner() -> str:
    """Return a name for this worker that tells its host, boot, process and the process's start."""
    return f"{_here()}/{os.getpid()}/{_start_of(os.getpid())}/{secrets.token_hex(3)}"


def is_dead(owner: str) -> bool:
    """Tell whether the owner is known to be dead: a process of this host that is gone."""
    here, _, rest = owner.partition("/")
    pid, _, rest = rest.partition("/")
    start = rest.partition("/")[0]
    return here == _here() and pid.isdigit() and _start_of(int(pid)) != start


def _here() -> str:
    """Name this host, its boot and its process namespace, in which a pid means something."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text()[:8]
        namespace = Path("/proc/self/ns/pid").readlink().name.strip("pid:[]")
    except OSError:
        boot, namespace = "", ""
    return f"{socket.gethostname()[:20]}.{boot}.{namespace}".replace("/", "-")


def _start_of(pid: int) -> str:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else fields[19]
