"""Tells pages that what they show has changed: one poller a topic and process, whoever watches.

What travels is only that something changed; the page then asks for its part anew, and is answered
what its viewer may see. So a line that is cut leaves no gap, and nothing comes twice.
"""

import asyncio
import hashlib
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

from fastapi import Request
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import Response, StreamingResponse

from barbeque_console.pages import Pages
from barbeque_console.parts import Shown
from barbeque_console.rights import Router, known
from barbeque_py.errors import OutsideError, RequestError
from barbeque_py.store import Store, Tx

log = logging.getLogger("barbeque.console")

Stamp = Callable[[Tx, str], str]
"""Reads what differs whenever the topic has something new to say; its argument stands behind a
colon in the topic's name."""

TOPICS: dict[str, Stamp] = {}
"""The topics there are, by the word before the colon; each module of pages adds its own."""

_EVERY = 1.0
_SILENCE = 15.0
"""Seconds after which a line that carries nothing shows that it is alive."""
_MOST = 2_000
"""Streams of one process."""


@dataclass(slots=True)
class _Topic:
    """One topic while somebody watches it."""

    stamp: str
    watchers: int = 0
    over: bool = False
    """Whether nobody reads it any more: who still watches comes again."""
    changed: asyncio.Event = field(default_factory=asyncio.Event)


class EventPages:
    """Hands out the streams."""

    def __init__(self, parts: Shown, pages: Pages) -> None:
        del pages
        self._store = parts.store
        self._topics: dict[str, _Topic] = {}
        self._pollers: set[asyncio.Task[None]] = set()
        self._streams = 0

    def router(self) -> Router:
        """Return the routes."""
        router = Router()
        router.add_api_route("/events", self.stream, methods=["GET"], **known())
        return router

    async def stream(self, request: Request, watch: str) -> Response:
        """Answer with an event `changed` each time the topic has changed, until nobody listens."""
        kind, _, argument = watch.partition(":")
        if kind not in TOPICS:
            raise HTTPException(404, "There is nothing to watch under this name.")
        if self._streams >= _MOST:
            raise HTTPException(503, "Too many pages are watched through this server.")
        topic = self._topics.get(watch)
        if topic is None:
            stamp = await run_in_threadpool(read_stamp, self._store, kind, argument)
            topic = self._topics.setdefault(watch, _Topic(stamp))
            self._poll(watch, kind, argument)
        seen = request.headers.get("last-event-id") or request.query_params.get("seen")
        return StreamingResponse(
            self._tell(request, topic, seen),
            media_type="text/event-stream",
            headers={"cache-control": "no-store", "x-accel-buffering": "no"},
        )

    async def _tell(self, request: Request, topic: _Topic, seen: str | None) -> AsyncIterator[str]:
        self._streams += 1
        topic.watchers += 1
        try:
            said = seen or topic.stamp
            yield f"retry: 1000\nid: {said}\n\n"
            silent = 0.0
            while not topic.over and not await request.is_disconnected():
                if topic.stamp != said:
                    said, silent = topic.stamp, 0.0
                    yield f"id: {said}\nevent: changed\ndata: {said}\n\n"
                elif silent >= _SILENCE:
                    silent = 0.0
                    yield ": still here\n\n"
                changed = topic.changed
                try:
                    await asyncio.wait_for(changed.wait(), _EVERY)
                except TimeoutError:
                    silent += _EVERY
        finally:
            self._streams -= 1
            topic.watchers -= 1

    def _poll(self, watch: str, kind: str, argument: str) -> None:
        task = asyncio.create_task(self._keep_reading(watch, kind, argument))
        self._pollers.add(task)
        task.add_done_callback(self._pollers.discard)

    async def _keep_reading(self, watch: str, kind: str, argument: str) -> None:
        """Read the topic's stamp for as long as somebody watches it."""
        topic = self._topics[watch]
        try:
            while True:
                await asyncio.sleep(_EVERY)
                if not topic.watchers:
                    return
                stamp = await run_in_threadpool(read_stamp, self._store, kind, argument)
                if stamp != topic.stamp:
                    topic.stamp = stamp
                    topic.changed.set()
                    topic.changed = asyncio.Event()
        except (OutsideError, RequestError) as error:
            log.warning("a page can't be kept up to date: %s", error)
        finally:
            self._topics.pop(watch, None)
            topic.over = True
            topic.changed.set()


def read_stamp(store: Store, kind: str, argument: str) -> str:
    """Return the topic's stamp, short."""
    stamp = store.read(lambda tx: TOPICS[kind](tx, argument))
    return hashlib.sha256(stamp.encode()).hexdigest()[:16]
