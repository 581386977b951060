"""Who asks: the token that a request shows, looked up without asking the database."""

import asyncio
import hmac
from collections.abc import Mapping
from dataclasses import dataclass

from starlette.types import Scope

from barbeque_api.problems import Refusal, refusal, unavailable
from barbeque_api.snapshot import Known, Snapshot
from barbeque_py import clock
from barbeque_py.errors import StoreUnavailable
from barbeque_py.identity import Identity
from barbeque_py.tokens import digest, id_of

REVOKED_WITHIN = 10.0
"""Seconds after which a revoked token opens nothing, while the database answers."""

_SOON = 5.0
"""Seconds after which tokens are read again beside the requests that go on with the old ones."""
_LONGEST_WAIT = 2.0
"""Seconds that a request waits for tokens to be read before it goes on with the old ones."""
_BETWEEN_LOOKS = 0.5
"""Seconds between two readings that strange tokens can bring about."""
_CHALLENGE = {"www-authenticate": 'Bearer realm="barbeque"'}


@dataclass(slots=True)
class _Bucket:
    """How many requests a token has left, and since when."""

    left: float
    at: float


class Admission:
    """Tells who shows a token, and refuses who shows none, a strange one, or one too often.

    `rate` is how many requests a second each token may make, and twice as many at once; 0 is any.
    """

    def __init__(self, snapshot: Snapshot, *, rate: int) -> None:
        self._snapshot = snapshot
        self._rate = rate
        self._buckets: dict[str, _Bucket] = {}
        self._refreshing: asyncio.Future[None] | None = None
        self._looking: asyncio.Task[None] | None = None
        self._looked_at = float("-inf")

    async def admit(self, headers: Mapping[bytes, bytes], scope: Scope) -> Identity:
        """Return who asks; raises a `Refusal`: 401, 429, or 503 when tokens can't be looked up."""
        text = _shown(headers)
        token_id = id_of(text)
        if token_id is None:
            raise _strange() if text else _refused("show a token: Authorization: Bearer bq_...")
        known = await self._find(token_id)
        if known is None or not hmac.compare_digest(digest(text), known.digest):
            raise _strange()
        now = clock.now()
        if now >= known.expires_at:
            raise _refused("this token has expired: make another one with `barbeque token`")
        self._spend(token_id)
        self._snapshot.note_use(token_id, now)
        client = scope.get("client")
        return Identity(known.name, known.scopes, known.app, client[0] if client else "")

    async def _find(self, token_id: str) -> Known | None:
        if self._snapshot.age > _SOON:
            await self._refresh()
        names = self._snapshot.names
        if names is None or token_id not in names.tokens:
            await self._look_again()
            names = self._snapshot.names
        if names is None:
            raise unavailable("tokens can't be looked up now; try again later")
        return names.tokens.get(token_id)

    async def _refresh(self) -> None:
        """Have the tokens read; wait for it once what is known would be too old."""
        if self._refreshing is None or self._refreshing.done():
            loop = asyncio.get_running_loop()
            self._refreshing = loop.run_in_executor(None, self._read)
        if self._snapshot.age > REVOKED_WITHIN - 1 and not self._snapshot.away:
            await asyncio.wait({self._refreshing}, timeout=_LONGEST_WAIT)
            self._snapshot.away = not self._refreshing.done() or self._snapshot.away

    def _read(self) -> None:
        self._snapshot.refresh_quietly(older_than=_SOON)

    async def _look_again(self) -> None:
        """Read the tokens once more: this one may be new. All who wait share one reading."""
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())
        await asyncio.shield(self._looking)

    async def _look(self) -> None:
        """Not at once after the last look, so that strange tokens can't keep the database busy."""
        pause = self._looked_at + _BETWEEN_LOOKS - clock.monotonic()
        if pause > 0:
            await asyncio.sleep(pause)
        self._looked_at = clock.monotonic()
        try:
            await asyncio.to_thread(self._snapshot.refresh, asked_at=self._looked_at)
        except StoreUnavailable:
            return  # whoever waits sees that there are no names

    def _spend(self, token_id: str) -> None:
        if not self._rate:
            return
        most, now = 2.0 * self._rate, clock.monotonic()
        bucket = self._buckets.get(token_id)
        if bucket is None:
            bucket = self._buckets[token_id] = _Bucket(most, now)
        left = min(most, bucket.left + (now - bucket.at) * self._rate)
        bucket.left, bucket.at = left, now
        if left < 1:
            sentence = f"this token may make {self._rate} requests a second: try again later"
            raise refusal(429, sentence, {"retry-after": "1"})
        bucket.left = left - 1


def _shown(headers: Mapping[bytes, bytes]) -> str:
    kind, _, text = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
    return text.strip() if kind.lower() == "bearer" else ""


def _refused(sentence: str) -> Refusal:
    return refusal(401, sentence, _CHALLENGE)


def _strange() -> Refusal:
    return _refused("this token is unknown, revoked or expired")
