"""`/v2/apps/{app}/signing_secrets`: what an app checks our signatures with."""

from datetime import timedelta
from typing import Any

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from typing_extensions import TypedDict

from barbeque_api import schemas
from barbeque_api.bodies import read_object, shown
from barbeque_api.parts import Served
from barbeque_api.problems import Answer, answer, refusal
from barbeque_api.releases import check_app
from barbeque_api.rights import caller_of, needs
from barbeque_api.times import Instant, written
from barbeque_py.durations import parse_duration
from barbeque_py.errors import UnknownApp
from barbeque_py.identity import Identity, Scope
from barbeque_py.store import Tx, apps, audit, signing_secrets
from barbeque_py.store.signing_secrets import SigningSecret

USUAL = timedelta(days=1)
"""How long the secret before signs beside a new one, unless told."""

_MOST = timedelta(days=30)
_PATH = "/v2/apps/{app}/signing_secrets"


class SecretFacts(TypedDict):
    """A secret that signs for an app; the newest does not retire."""

    secret: str
    made_at: Instant
    retires_at: Instant | None


class SecretList(TypedDict):
    """The secrets that sign for an app now, the newest first."""

    signing_secrets: list[SecretFacts]


class SigningSecrets:
    """Shows an app's secrets, and makes a new one in place of the one before."""

    def __init__(self, parts: Served) -> None:
        self._parts = parts

    def add_to(self, router: APIRouter) -> None:
        """Add the routes."""
        deploying = [needs(Scope.DEPLOY)]
        router.add_api_route(_PATH, self.show, methods=["GET"], dependencies=deploying)
        router.add_api_route(
            _PATH,
            self.rotate,
            methods=["POST"],
            status_code=201,
            dependencies=deploying,
            openapi_extra=schemas.body(schemas.ROTATION, required=False),
        )

    def show(self, app: str, request: Request) -> Answer[SecretList]:
        """Show the secrets that sign for the app now, the newest first."""
        check_app(caller_of(request), Scope.DEPLOY, app)

        def read(tx: Tx) -> list[SigningSecret]:
            _check_there(tx, app)
            return signing_secrets.of_app(tx, app)

        return _answer(self._parts.store.write(read))

    async def rotate(self, app: str, request: Request) -> Answer[SecretList]:
        """Make a new secret; the one before signs beside it for `overlap`, a day unless told."""
        check_app(caller_of(request), Scope.DEPLOY, app)
        facts = await read_object(
            request, self._parts.max_body, known=("overlap",), may_be_empty=True
        )
        keep = _read_overlap(facts.get("overlap"))
        return await run_in_threadpool(self._rotate, caller_of(request), app, keep)

    def _rotate(self, who: Identity, app: str, keep: timedelta) -> Answer[SecretList]:
        def change(tx: Tx) -> list[SigningSecret]:
            _check_there(tx, app)
            after = {"keep_seconds": keep.total_seconds()}
            audit.record(tx, who, "signing_secret.rotate", f"app:{app}", after=after)
            return signing_secrets.rotate(tx, app, keep=keep)

        return _answer(self._parts.store.write(change), status=201)


def _check_there(tx: Tx, app: str) -> None:
    if apps.get_app(tx, app) is None:
        raise UnknownApp(f"no app is called {shown(app)}")


def _read_overlap(value: Any) -> timedelta:
    if value is None:
        return USUAL
    try:
        keep = parse_duration(value)
    except (ValueError, TypeError):
        raise refusal(400, f"overlap: {shown(value)} is not a duration such as 1h or 1d") from None
    if keep > _MOST:
        raise refusal(400, f"overlap: {shown(value)} is longer than 30d")
    return keep


def _answer(found: list[SigningSecret], *, status: int = 200) -> Answer[SecretList]:
    secrets: list[SecretFacts] = [
        {
            "secret": each.secret,
            "made_at": written(each.made_at),
            "retires_at": written(each.retires_at),
        }
        for each in found
    ]
    return answer({"signing_secrets": secrets}, status=status)
