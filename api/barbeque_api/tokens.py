"""`/v2/tokens`: who may ask for what; made, listed, rotated and revoked by admins."""

from collections.abc import Callable
from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from fastapi.concurrency import run_in_threadpool
from typing_extensions import TypedDict

from barbeque_api import schemas
from barbeque_api.bodies import read_object, read_text, shown
from barbeque_api.document import answers
from barbeque_api.parts import Served
from barbeque_api.problems import Answer, answer, refusal
from barbeque_api.rights import caller_of, needs
from barbeque_api.times import Instant, written
from barbeque_py.durations import parse_duration
from barbeque_py.identity import Scope
from barbeque_py.issue import (
    LIFETIME,
    LONGEST_LIFETIME,
    LONGEST_OVERLAP,
    OVERLAP,
    SpentToken,
    Wish,
    issue,
    read_scopes,
    revoke,
    rotate,
)
from barbeque_py.store import Tx, tokens
from barbeque_py.store.tokens import Token

_LARGEST = 16 * 1024
_PATH = "/v2/tokens"

_Id = Annotated[str, Path(max_length=100)]


class TokenFacts(TypedDict):
    """A token, without its text."""

    id: str
    name: str
    app: str | None
    scopes: list[Scope]
    made_by: str
    made_at: Instant
    expires_at: Instant
    revoked_at: Instant | None
    last_used_at: Instant | None
    replaced_by: str | None


class ListedToken(TokenFacts):
    """A token of the list; `live` while it opens something."""

    live: bool


class TokenList(TypedDict):
    """The tokens, the newest first."""

    tokens: list[ListedToken]


class MadeToken(TokenFacts):
    """A token that was made; `token` is its text, which is shown this once."""

    token: str


class Tokens:
    """Makes, shows, rotates and revokes tokens."""

    def __init__(self, parts: Served) -> None:
        self._parts = parts

    def add_to(self, router: APIRouter) -> None:
        """Add the routes."""
        rights: dict[str, Any] = {"dependencies": [needs(Scope.ADMIN)]}
        router.add_api_route(_PATH, self.all, methods=["GET"], **rights)
        router.add_api_route(
            _PATH,
            self.issue,
            methods=["POST"],
            status_code=201,
            openapi_extra=schemas.body(schemas.TOKEN),
            responses=answers(404),
            **rights,
        )
        router.add_api_route(
            f"{_PATH}/{{token_id}}/rotate",
            self.rotate,
            methods=["POST"],
            status_code=201,
            openapi_extra=schemas.body(schemas.ROTATION, required=False),
            responses=answers(409),
            **rights,
        )
        router.add_api_route(f"{_PATH}/{{token_id}}", self.revoke, methods=["DELETE"], **rights)

    def all(self) -> Answer[TokenList]:
        """List the tokens, the newest first, without their texts, which nobody has any more."""
        found, now = self._parts.store.read(lambda tx: (tokens.everything(tx), tx.now))
        return answer({"tokens": [{**_shown(each), "live": each.is_live(now)} for each in found]})

    async def issue(self, request: Request) -> Answer[MadeToken]:
        """Make a token; `token` is its text, which is shown this once."""
        facts = await read_object(request, _LARGEST, known=schemas.TOKEN["properties"])
        scopes = facts.get("scopes")
        if not isinstance(scopes, list):
            raise refusal(400, f"scopes: {shown(scopes)} is not a list")
        wish = Wish(
            name=read_text(facts, "name") or "",
            scopes=read_scopes(scopes),
            app=read_text(facts, "app"),
            lifetime=_read_length(facts, "lifetime", LIFETIME, LONGEST_LIFETIME),
        )
        return await self._made(lambda tx: issue(tx, caller_of(request), wish))

    async def rotate(self, token_id: _Id, request: Request) -> Answer[MadeToken]:
        """Make a token that takes this one's place; both are good for `overlap`."""
        facts = await read_object(
            request, _LARGEST, known=schemas.ROTATION["properties"], may_be_empty=True
        )
        overlap = _read_length(facts, "overlap", OVERLAP, LONGEST_OVERLAP)
        caller = caller_of(request)
        return await self._made(lambda tx: rotate(tx, caller, token_id, overlap=overlap))

    def revoke(self, token_id: _Id, request: Request) -> Answer[TokenFacts]:
        """Make the token good for nothing: every API knows it within ten seconds."""
        row = self._parts.store.write(lambda tx: revoke(tx, caller_of(request), token_id))
        return answer(_shown(row))

    async def _made(self, work: Callable[[Tx], tuple[Token, str]]) -> Answer[MadeToken]:
        try:
            row, text = await run_in_threadpool(self._parts.store.write, work)
        except SpentToken as error:
            raise refusal(409, str(error)) from None
        made: MadeToken = {"token": text, **_shown(row)}
        return answer(made, status=201)


def _read_length(
    facts: dict[str, Any], name: str, usual: timedelta, longest: timedelta
) -> timedelta:
    text = read_text(facts, name)
    if text is None:
        return usual
    try:
        length = parse_duration(text)
    except ValueError as error:
        raise refusal(400, f"{name}: {error}") from None
    if not timedelta(0) < length <= longest:
        raise refusal(400, f"{name}: {shown(text)} is not above 0 and up to {longest.days}d")
    return length


def _shown(token: Token) -> TokenFacts:
    return {
        "id": token.id,
        "name": token.name,
        "app": token.app,
        "scopes": sorted(token.scopes),
        "made_by": token.made_by,
        "made_at": written(token.made_at),
        "expires_at": written(token.expires_at),
        "revoked_at": written(token.revoked_at),
        "last_used_at": written(token.last_used_at),
        "replaced_by": token.replaced_by,
    }
