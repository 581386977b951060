"""`/v2/workers`: who is at work, how full each place is, what is held back; drain and undrain."""

from fastapi import APIRouter, Request
from typing_extensions import TypedDict

from barbeque_api.parts import Served
from barbeque_api.problems import Answer, answer, refusal
from barbeque_api.rights import caller_of, needs
from barbeque_api.times import Instant, written
from barbeque_py.acts import drain_worker
from barbeque_py.identity import Scope
from barbeque_py.store import Tx, crew
from barbeque_py.store.crew import Crew, Member, Standing

_PATH = "/v2/workers"


class WorkerFacts(TypedDict):
    """A worker, and how many attempts it holds."""

    name: str
    id: str
    host: str
    version: str | None
    state: Standing
    place: str
    queues: list[str]
    starting: int
    running: int
    started_at: Instant
    seen_at: Instant
    drained_at: Instant | None


class PlaceFacts(TypedDict):
    """The slots of a place; null is any number."""

    place: str
    slots: int | None
    used: int


class HeldBack(TypedDict):
    """What starts nothing for want of room until then."""

    scope: str
    until: Instant
    probing: bool
    reason: str


class QuotaFacts(TypedDict):
    """How many calls a quota allows a second, and whether it is used up now."""

    name: str
    per_second: float
    empty: bool


class CrewFacts(TypedDict):
    """Who is at work, how full each place is, and what is held back."""

    workers: list[WorkerFacts]
    places: list[PlaceFacts]
    pauses: list[HeldBack]
    quotas: list[QuotaFacts]


class Workers:
    """Shows workers, and drains them."""

    def __init__(self, parts: Served) -> None:
        self._parts = parts

    def add_to(self, router: APIRouter) -> None:
        """Add the routes."""
        router.add_api_route(_PATH, self.all, methods=["GET"], dependencies=[needs(Scope.READ)])
        for verb, act in (("drain", self.drain), ("undrain", self.undrain)):
            router.add_api_route(
                f"{_PATH}/{{worker}}/{verb}",
                act,
                methods=["POST"],
                dependencies=[needs(Scope.ADMIN)],
            )

    def all(self, request: Request) -> Answer[CrewFacts]:
        """List who is at work, the slots of each place, pauses for want of room, and quotas.

        It is about everybody's machines: a token of one app is refused.
        """
        if caller_of(request).app is not None:
            raise refusal(403, "this is about all apps: it needs a token of no app")
        return answer(_crew(self._parts.store.read(crew.read)))

    def drain(self, worker: str, request: Request) -> Answer[WorkerFacts]:
        """Let the worker take nothing new; it finishes what it has. Again, it changes nothing."""
        return self._switch(request, worker, draining=True)

    def undrain(self, worker: str, request: Request) -> Answer[WorkerFacts]:
        """Let the worker take again."""
        return self._switch(request, worker, draining=False)

    def _switch(self, request: Request, name: str, *, draining: bool) -> Answer[WorkerFacts]:
        who = caller_of(request)

        def change(tx: Tx) -> WorkerFacts:
            drain_worker(tx, who, name, draining=draining)
            (found,) = [
                each for each in crew.read(tx).members if name in (each.worker.id, each.worker.name)
            ]
            return _member(found)

        changed = self._parts.store.write(change)
        self._parts.bell.ring()
        return answer(changed)


def _crew(found: Crew) -> CrewFacts:
    return {
        "workers": [_member(each) for each in found.members],
        "places": [
            {"place": name, "slots": limit.max, "used": limit.used}
            for name, limit in found.places.items()
        ],
        "pauses": [
            {
                "scope": each.scope,
                "until": written(each.until),
                "probing": each.probing,
                "reason": each.reason,
            }
            for each in found.pauses
        ],
        "quotas": [
            {"name": each.name, "per_second": each.rate, "empty": each.empty}
            for each in found.levels
        ],
    }


def _member(member: Member) -> WorkerFacts:
    worker = member.worker
    return {
        "name": worker.name,
        "id": worker.id,
        "host": worker.host,
        "version": worker.version,
        "state": member.standing,
        "place": worker.place,
        "queues": list(worker.queues),
        "starting": member.starting,
        "running": member.running,
        "started_at": written(worker.started_at),
        "seen_at": written(worker.seen_at),
        "drained_at": written(worker.drained_at),
    }
