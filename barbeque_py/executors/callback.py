"""Has attempts run by the backends of their apps: a request starts one, a request back ends it."""

import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from queue import Empty, SimpleQueue
from threading import Event
from typing import TypeVar

from barbeque_py.callbacks import CALL_OFF, LOG_AT, PLACE, POST
from barbeque_py.clock import rfc3339
from barbeque_py.errors import (
    ExecutorUnavailable,
    ForbiddenTarget,
    LaunchRefused,
    NoSuchLog,
    StoreUnavailable,
)
from barbeque_py.executor import Blueprint, Launch, News, Preparation, Sighting, Standing, Traits
from barbeque_py.ids import AttemptId
from barbeque_py.outbound import Outbound
from barbeque_py.outcomes import Fate, Reason
from barbeque_py.store import Store, Tx, callbacks, outbox
from barbeque_py.store.callbacks import Callback, Written
from barbeque_py.store.outbox import Errand
from barbeque_py.targets import read_target

T = TypeVar("T")

KILLED = 137
"""The exit code of an attempt that nobody waits for any more."""
_SILENCE = 1.0
_LANES = 4
"""How many requests are sent to one backend at once, by all workers together."""
_AT_ONCE = 200
_PIECE = 64 * 1024


class CallbackExecutor:
    """Runs each attempt as a request to its app's backend, which answers when the job is done.

    An attempt is a row. `start` writes it and leaves the request to the relay, which repeats it
    under the attempt's id until the backend has answered, so a backend that is away or slow keeps
    no container waiting. Whoever hears the result, the API or the relay, settles the attempt in
    the same transaction; `events` tells only of those that this executor has given up.
    """

    def __init__(self, store: Store, outbound: Outbound) -> None:
        self._store = store
        self._outbound = outbound
        self._given_up: SimpleQueue[AttemptId] = SimpleQueue()
        self.on_order: Callable[[], None] = lambda: None
        """Called when a request is left to the relay."""
        self.traits = Traits(attended=False, check_every=timedelta(seconds=10))

    def place(self) -> str:
        """Return the one place that backends are, whichever they are."""
        return PLACE

    def serves(self, place: str) -> bool:
        """Tell whether it is that place."""
        return place == PLACE

    def former(self, place: str) -> bool:  # noqa: ARG002
        """Tell that the place never had another name."""
        return False

    def slots(self) -> None:
        """Say that backends know themselves how much they take."""

    def prepare(self, blueprint: Blueprint) -> Preparation:
        """Check the address as far as it can be without asking anybody."""
        try:
            self._outbound.check(blueprint.callback)
        except ForbiddenTarget as refused:
            raise LaunchRefused(f"callback: {refused}", blame_definition=True) from None
        return Preparation("", PLACE, log_at=LOG_AT, details={"url": blueprint.callback})

    def start(self, launch: Launch, message: str) -> Sighting:  # noqa: ARG002 - sent by the relay
        """Write the attempt's row and have the request sent, once."""
        url = str(launch.details["url"])
        errand = _errand(POST, launch.attempt, url)

        def begin(tx: Tx) -> Callback | None:
            callbacks.add(tx, launch.attempt, url)
            outbox.put(tx, [errand])
            return callbacks.get(tx, launch.attempt)

        row = self._ask(lambda: self._store.write_together(begin))
        assert row is not None, "what was just added is there"
        self.on_order()
        return _sighting(row)

    def sightings(self, attempts: Sequence[AttemptId]) -> dict[AttemptId, Sighting]:
        """Read the rows."""
        known = self._known(attempts)
        return {
            each: _sighting(known[each]) if each in known else Sighting(Standing.ABSENT)
            for each in attempts
        }

    def stop(self, attempt: AttemptId, *, kill: bool) -> None:
        """Have the backend told to stop, or give the attempt up: its result is refused then."""
        row = self._known([attempt]).get(attempt)
        if row is None or (row.ended_at is not None and not kill):
            return
        if not kill:
            errand = _errand(CALL_OFF, attempt, row.url)
            self._ask(lambda: self._store.write_together(lambda tx: outbox.put(tx, [errand])))
            self.on_order()
            return
        detail = "its backend did not say that it has stopped"
        self._ask(
            lambda: self._store.write(
                lambda tx: callbacks.end(tx, attempt, Reason.EXITED, KILLED, detail)
            )
        )
        self._given_up.put(attempt)

    def events(self, stop: Event) -> Iterator[News]:
        """Yield attempts that were given up here; all other ends are settled as they are heard."""
        while not stop.is_set():
            try:
                attempt = self._given_up.get(timeout=_SILENCE)
            except Empty:
                yield News()
            else:
                yield News({attempt: self.sightings([attempt])[attempt]})

    def log(self, attempt: AttemptId) -> "CallbackLog":
        """Return what the backend has posted so far."""
        return CallbackLog(self._store, attempt)

    def remove(self, attempt: AttemptId) -> None:
        """Delete the attempt's rows if it has ended."""
        self._ask(lambda: self._store.write_together(lambda tx: callbacks.forget(tx, attempt)))

    def remains(self) -> list[AttemptId]:
        """Return the attempts that have a row."""
        return self._ask(lambda: self._store.read(callbacks.all_ids))

    def _known(self, attempts: Sequence[AttemptId]) -> Mapping[AttemptId, Callback]:
        if not attempts:
            return {}
        return self._ask(lambda: self._store.read(lambda tx: callbacks.known(tx, attempts)))

    def _ask(self, ask: Callable[[], T]) -> T:
        return _engine(ask)


class CallbackLog:
    """The log of one attempt: what its backend has posted, in the order in which it came."""

    def __init__(self, store: Store, attempt: AttemptId) -> None:
        self._store = store
        self._attempt = attempt

    def batches(self, *, follow: bool) -> Iterator[list[bytes]]:
        """Yield the stored lines; the promise is `LogSource`'s."""
        after = 0
        while True:
            row, found = _engine(lambda at=after: self._store.read(lambda tx: self._read(tx, at)))  # type: ignore[misc]
            if row is None:
                raise NoSuchLog(f"no log of {self._attempt}")
            if found:
                after = found[-1].id
                yield [line for each in found for line in _lines(each)]
            elif not follow or row.ended_at is not None:
                return
            else:
                yield []
                time.sleep(_SILENCE / 2)

    def _read(self, tx: Tx, after: int) -> tuple[Callback | None, list[Written]]:
        row = callbacks.get(tx, self._attempt)
        return row, callbacks.written(tx, self._attempt, after=after, most=_AT_ONCE)


def _engine(ask: Callable[[], T]) -> T:
    try:
        return ask()
    except StoreUnavailable as error:
        raise ExecutorUnavailable(str(error)) from error


def _errand(kind: str, attempt: AttemptId, url: str) -> Errand:
    lane = zlib.crc32(attempt.encode()) % _LANES
    return Errand(
        kind,
        subject=attempt,
        lane=f"{PLACE}/{read_target(url).origin[:170]}/{lane}",
        place=PLACE,
        owner="",
        head_start=timedelta(0),
    )


def _sighting(row: Callback) -> Sighting:
    handle, started = read_target(row.url).origin[:200], row.started_at.timestamp()
    if row.ended_at is None:
        return Sighting(Standing.RUNNING, handle, started_at=started)
    assert row.reason is not None, "an end has its reason"
    fate = Fate(
        Reason(row.reason),
        exit_code=row.exit_code,
        detail=row.detail or "",
        started_at=row.started_at,
        finished_at=row.ended_at,
    )
    return Sighting(Standing.ENDED, handle, fate, started_at=started)


def _lines(written: Written) -> Iterator[bytes]:
    """Yield the stored lines of what was posted at once; a long one in pieces."""
    head = b"%s %s" % (rfc3339(written.at).encode(), written.stream.encode())
    for line in written.text.encode().removesuffix(b"\n").split(b"\n"):
        pieces = [line[at : at + _PIECE] for at in range(0, len(line), _PIECE)] or [b""]
        for piece in pieces[:-1]:
            yield b"%s+ %s" % (head, piece)
        yield b"%s %s" % (head, pieces[-1])
