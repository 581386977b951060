"""Places with attempts that have not ended, and what becomes of them when a place is gone."""

from barbeque_py.callbacks import PLACE
from barbeque_py.cli.exits import Failure
from barbeque_py.ids import AttemptId
from barbeque_py.outcomes import Fate, Reason
from barbeque_py.seal import seal
from barbeque_py.settle import settle
from barbeque_py.store import Tx, attempts, leases, outbox, workers
from barbeque_py.wiring.front import Front


def abandoned(tx: Tx) -> dict[str, int]:
    """Return the places without a live worker, with how many attempts have not ended there.

    None have where only logs wait to be sealed.
    """
    places = {*leases.live_places(tx), *outbox.places(tx)} - _served(tx)
    return {place: len(attempts.live_at(tx, [place])) for place in sorted(places)}


def forget(front: Front, place: str) -> list[str]:
    """Settle every attempt at the place as vanished; return their ids.

    Raises `Failure` when a worker speaks to the place, or nothing has not ended there.
    """
    waiting = front.store.read(abandoned)
    if place not in waiting:
        raise Failure(_why_not(place, waiting, served=_is_served(front, place)))
    fate = Fate(Reason.VANISHED, detail=f"its place {place} was given up by an operator")
    waiting_there = front.store.read(lambda tx: attempts.live_at(tx, [place]))
    settled = [each.id for each in waiting_there if _settle(front, each.id, fate)]
    front.store.write(lambda tx: _give_up_logs(tx, place))
    front.bell.ring()
    return [str(each) for each in settled]


def _give_up_logs(tx: Tx, place: str) -> None:
    for item in outbox.at_place(tx, place):
        seal(tx, item, None)


def _settle(front: Front, attempt: AttemptId, fate: Fate) -> bool:
    return front.store.write(lambda tx: settle(tx, attempt, fate)) is not None


def _is_served(front: Front, place: str) -> bool:
    return place in front.store.read(_served)


def _served(tx: Tx) -> set[str]:
    """Return the places to which a live worker speaks: to the backends of apps any one does."""
    alive = workers.alive(tx)
    return {*workers.places(alive), *([PLACE] if alive else [])}


def _why_not(place: str, waiting: dict[str, int], *, served: bool) -> str:
    if served:
        return (
            f"a worker speaks to {place}, so its attempts are being watched: end that worker first"
        )
    others = f"; such places are: {', '.join(sorted(waiting))}" if waiting else ""
    return f"no attempt waits at a place {place!r} without a worker{others}"
