"""OpenID Connect: a provider vouches for somebody; code flow with PKCE, state and nonce.

What is under way is kept by the browser itself, in a signed cookie of ten minutes, so that nobody
can be made to go on with what somebody else began.
"""

import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

import httpx
from authlib.common.errors import AuthlibBaseError
from authlib.common.security import generate_token
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from authlib.oidc.core import CodeIDToken
from authlib.oidc.discovery import get_well_known_url
from itsdangerous import BadData, URLSafeTimedSerializer
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from joserfc.jws import JWSRegistry

from barbeque_py import clock
from barbeque_py.entrance import Provider
from barbeque_py.visits import NotLetIn, Vouched

log = logging.getLogger("barbeque.console")

UNDER_WAY = 600
"""Seconds that somebody may take at the provider."""
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384")
"""What may sign an ID token: never `none`, and no key that we share with the provider."""
_NEEDED = ("authorization_endpoint", "token_endpoint", "jwks_uri")
_GROUPS = ("groups", "roles", "cognito:groups")
_PATIENCE = 5.0
_KNOWN_FOR = 3600.0
_LEEWAY = 60
"""Seconds that the provider's clock may differ from ours."""


@dataclass(frozen=True, slots=True)
class Begun:
    """A sign-in that is under way: where the browser goes, and what it keeps meanwhile."""

    url: str
    kept: str
    lasts: int = UNDER_WAY
    """Seconds."""


@dataclass(slots=True)
class _Known:
    """What the provider says of itself, and since when we know."""

    metadata: Mapping[str, Any]
    keys: Mapping[str, Any]
    at: float


class OpenIdConnect:
    """Asks one provider who somebody is. Every call may take a while, and raises `NotLetIn`."""

    def __init__(self, provider: Provider, *, callback: str) -> None:
        self.name = httpx.URL(provider.issuer).host
        self._provider = provider
        self._callback = callback
        self._known: _Known | None = None
        self._turn = threading.Lock()

    def begin(self, following: str, *, secret: str) -> Begun:
        """Return where to send the browser, which is to see the page `following` in the end.

        `secret` signs what the browser keeps.
        """
        verifier, state, nonce = (generate_token(48) for _ in range(3))
        query = {
            "response_type": "code",
            "client_id": self._provider.client,
            "redirect_uri": self._callback,
            "scope": "openid email profile",
            "state": state,
            "nonce": nonce,
            "code_challenge": create_s256_code_challenge(verifier),
            "code_challenge_method": "S256",
        }
        address = str(self._ask().metadata["authorization_endpoint"])
        url = f"{address}{'&' if '?' in address else '?'}{urlencode(query)}"
        kept = {"state": state, "nonce": nonce, "verifier": verifier, "next": following}
        return Begun(url, str(_signer(secret).dumps(kept)))

    def finish(self, answer: Mapping[str, str], kept: str, *, secret: str) -> tuple[Vouched, str]:
        """Return whom the provider vouches for, and the page that follows."""
        try:
            begun = _signer(secret).loads(kept, max_age=UNDER_WAY)
        except BadData:
            raise NotLetIn("This sign-in was not begun in this browser, or too long ago.") from None
        if not answer.get("state") or answer["state"] != begun["state"]:
            raise NotLetIn("This sign-in was not begun in this browser, or too long ago.")
        if "error" in answer or not answer.get("code"):
            log.warning("%s did not vouch: %s", self.name, ascii(answer.get("error"))[:200])
            raise NotLetIn(f"{self.name} did not say who you are.")
        if answer.get("iss", self._provider.issuer) != self._provider.issuer:
            raise _strange("the answer came from another issuer")
        tokens = self._exchange(answer["code"], begun["verifier"])
        claims = self._read(tokens, begun["nonce"])
        return _vouched(claims), str(begun["next"])

    def _exchange(self, code: str, verifier: str) -> Mapping[str, Any]:
        known = self._ask().metadata
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._callback,
            "code_verifier": verifier,
        }
        name, secret = self._provider.client, self._provider.secret
        methods = known.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
        basic = None
        if "client_secret_basic" in methods:
            basic = httpx.BasicAuth(quote(name, safe=""), quote(secret, safe=""))
        else:
            form |= {"client_id": name, "client_secret": secret}
        return self._json("POST", str(known["token_endpoint"]), data=form, auth=basic)

    def _read(self, tokens: Mapping[str, Any], nonce: str) -> Mapping[str, Any]:
        """Return what the ID token says, after everything about it was checked."""
        text = tokens.get("id_token")
        if not isinstance(text, str):
            raise _strange("it sent no ID token")
        known = self._ask()
        offered = known.metadata.get("id_token_signing_alg_values_supported") or ["RS256"]
        registry = JWSRegistry(
            algorithms=[each for each in offered if each in ALGORITHMS], strict_check_header=False
        )
        try:
            token = self._decode(text, known, registry)
            claims = CodeIDToken(
                token.claims,
                token.header,
                {
                    "iss": {"essential": True, "value": self._provider.issuer},
                    "aud": {"essential": True, "value": self._provider.client},
                    "exp": {"essential": True},
                    "iat": {"essential": True},
                    "sub": {"essential": True},
                    "nonce": {"essential": True, "value": nonce},
                },
                {
                    "nonce": nonce,
                    "client_id": self._provider.client,
                    "access_token": tokens.get("access_token"),
                },
            )
            claims.validate(leeway=_LEEWAY)
        except (JoseError, AuthlibBaseError, ValueError) as error:
            raise _strange(f"its ID token is not good: {error}") from None
        return self._with_email(dict(claims), tokens)

    def _decode(self, text: str, known: _Known, registry: JWSRegistry) -> jwt.Token:
        try:
            return jwt.decode(text, KeySet.import_key_set(known.keys), registry=registry)  # type: ignore[arg-type]
        except JoseError:
            # Keys change: they are read anew once.
            again = self._ask(anew=True)
            return jwt.decode(text, KeySet.import_key_set(again.keys), registry=registry)  # type: ignore[arg-type]

    def _with_email(self, claims: dict[str, Any], tokens: Mapping[str, Any]) -> Mapping[str, Any]:
        """Ask for the rest where the ID token leaves the address out."""
        address = self._ask().metadata.get("userinfo_endpoint")
        if "email" in claims or not address or not tokens.get("access_token"):
            return claims
        bearer = {"authorization": f"Bearer {tokens['access_token']}"}
        more = self._json("GET", str(address), headers=bearer)
        if more.get("sub") != claims["sub"]:
            raise _strange("it told of somebody else")
        return {**more, **claims}

    def _ask(self, *, anew: bool = False) -> _Known:
        """Return what the provider says of itself, asked again from time to time."""
        with self._turn:
            known = self._known
            if known is not None and not anew and clock.monotonic() - known.at < _KNOWN_FOR:
                return known
            issuer = self._provider.issuer
            metadata = self._json("GET", get_well_known_url(issuer, external=True))
            if metadata.get("issuer") != issuer:
                raise _strange(f"it calls itself {str(metadata.get('issuer'))[:200]!r}")
            missing = [name for name in _NEEDED if not isinstance(metadata.get(name), str)]
            if missing:
                raise _strange(f"its discovery document has no {' and no '.join(missing)}")
            keys = self._json("GET", metadata["jwks_uri"])
            self._known = _Known(metadata, keys, clock.monotonic())
            return self._known

    def _json(self, method: str, url: str, **more: Any) -> Mapping[str, Any]:
        try:
            # A connection of its own: logins are too rare for one that somebody must close.
            response = httpx.request(method, url, timeout=_PATIENCE, **more)
            response.raise_for_status()
            found = response.json()
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            log.warning("the identity provider at %s can't be asked: %s", self.name, error)
            raise NotLetIn(f"{self.name} can't be asked right now: try again later.") from None
        if not isinstance(found, dict):
            raise _strange("it answered something else than an object")
        return found


def _signer(secret: str) -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(secret, salt="sign-in")


def _vouched(claims: Mapping[str, Any]) -> Vouched:
    email = claims.get("email")
    if not isinstance(email, str) or claims.get("email_verified") not in (True, "true"):
        raise NotLetIn("The provider does not vouch for an email address of yours.")
    groups: list[str] = []
    for each in _GROUPS:
        found = claims.get(each)
        groups += (
            [each for each in found if isinstance(each, str)] if isinstance(found, list) else []
        )
    name = claims.get("name")
    return Vouched(email, groups, name if isinstance(name, str) else "")


def _strange(reason: str) -> NotLetIn:
    """Return the refusal; what was wrong is for our log."""
    log.warning("the identity provider is not believed: %s", reason)
    return NotLetIn("What the identity provider said can't be believed; the log says why.")
