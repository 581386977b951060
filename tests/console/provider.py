"""An OpenID Connect provider of our own: real HTTP, real keys, and faults on demand."""

import base64
import hashlib
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlencode

from joserfc import jwt
from joserfc.jwk import KeySet, OctKey, RSAKey
from joserfc.jws import JWSRegistry
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

CLIENT, SECRET = "barbeque", "a secret / of + the client"
Change = Callable[[dict[str, Any]], None]


@dataclass
class Provider:
    """Vouches for `person`, as long as the client keeps to the protocol."""

    url: str = ""
    person: dict[str, Any] = field(default_factory=dict)
    keys: list[RSAKey] = field(default_factory=lambda: [_new_key("one")])
    change_claims: Change | None = None
    change_answer: Change | None = None
    change_metadata: Change | None = None
    sign: Callable[["Provider", dict[str, Any]], str] | None = None
    redirected: dict[str, str] = field(default_factory=dict)
    """What is sent back beside code and state."""
    asked: list[str] = field(default_factory=list)
    _codes: dict[str, dict[str, str]] = field(default_factory=dict)

    def app(self) -> Starlette:
        routes = [
            Route("/.well-known/openid-configuration", self._metadata),
            Route("/authorize", self._authorize),
            Route("/token", self._token, methods=["POST"]),
            Route("/userinfo", self._userinfo),
            Route("/jwks", self._jwks),
        ]
        return Starlette(routes=routes)

    def rotate(self) -> None:
        """Sign with another key from now on."""
        self.keys = [_new_key("two")]

    def _metadata(self, request: Request) -> Response:
        self.asked.append("metadata")
        metadata: dict[str, Any] = {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "userinfo_endpoint": f"{self.url}/userinfo",
            "jwks_uri": f"{self.url}/jwks",
            "id_token_signing_alg_values_supported": ["RS256", "HS256", "none"],
            "code_challenge_methods_supported": ["S256"],
        }
        if self.change_metadata:
            self.change_metadata(metadata)
        return JSONResponse(metadata)

    def _jwks(self, request: Request) -> Response:
        self.asked.append("keys")
        return JSONResponse(KeySet(list(self.keys)).as_dict(private=False))

    def _authorize(self, request: Request) -> Response:
        query = dict(request.query_params)
        assert query["response_type"] == "code"
        assert query["client_id"] == CLIENT
        assert query["code_challenge_method"] == "S256"
        assert "openid" in query["scope"].split()
        assert len(query["state"]) >= 32
        assert len(query["nonce"]) >= 32
        code = secrets.token_urlsafe(16)
        self._codes[code] = query
        answer = {"code": code, "state": query["state"], **self.redirected}
        return RedirectResponse(f"{query['redirect_uri']}?{urlencode(answer)}", 302)

    async def _token(self, request: Request) -> Response:
        form = {name: each[0] for name, each in parse_qs((await request.body()).decode()).items()}
        begun = self._codes.pop(form.get("code", ""), None)
        verifier = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(verifier).rstrip(b"=").decode()
        if (
            begun is None
            or challenge != begun["code_challenge"]
            or form["redirect_uri"] != begun["redirect_uri"]
            or not self._is_client(request)
        ):
            return JSONResponse({"error": "invalid_grant"}, 400)
        claims = {
            "iss": self.url,
            "aud": CLIENT,
            "sub": "1234",
            "iat": int(time.time()),
            "exp": int(time.time()) + 300,
            "nonce": begun["nonce"],
            **self.person,
        }
        if self.change_claims:
            self.change_claims(claims)
        text = self.sign(self, claims) if self.sign else self._signed(claims)
        answer: dict[str, Any] = {"access_token": "at", "token_type": "Bearer", "id_token": text}
        if self.change_answer:
            self.change_answer(answer)
        return JSONResponse(answer)

    def _userinfo(self, request: Request) -> Response:
        assert request.headers["authorization"] == "Bearer at"
        return JSONResponse({"sub": "1234", "email": "info@example.com", "email_verified": True})

    def _is_client(self, request: Request) -> bool:
        kind, _, shown = request.headers.get("authorization", "").partition(" ")
        name, _, secret = base64.b64decode(shown).decode().partition(":")
        quoted = urlencode({"": SECRET}).removeprefix("=").replace("+", "%20")
        return kind == "Basic" and name == CLIENT and secret == quoted

    def _signed(self, claims: dict[str, Any]) -> str:
        return jwt.encode({"alg": "RS256", "kid": self.keys[0].kid}, claims, self.keys[0])


def with_shared_secret(provider: Provider, claims: dict[str, Any]) -> str:
    """Sign with what the client knows, too."""
    return jwt.encode({"alg": "HS256"}, claims, OctKey.import_key(SECRET), algorithms=["HS256"])


def with_public_key(provider: Provider, claims: dict[str, Any]) -> str:
    """Sign with the public key as if it were a shared secret."""
    key = OctKey.import_key(provider.keys[0].as_pem(private=False))
    header = {"alg": "HS256", "kid": provider.keys[0].kid}
    return jwt.encode(header, claims, key, algorithms=["HS256"])


def with_strange_key(provider: Provider, claims: dict[str, Any]) -> str:
    """Sign with a key of nobody's, under the name of a good one."""
    header = {"alg": "RS256", "kid": provider.keys[0].kid}
    return jwt.encode(header, claims, _new_key("one"))


def with_nothing(provider: Provider, claims: dict[str, Any]) -> str:
    """Sign with nothing."""
    registry = JWSRegistry(algorithms=["none"])
    return jwt.encode({"alg": "none"}, claims, OctKey.import_key("x"), registry=registry)


def _new_key(name: str) -> RSAKey:
    return RSAKey.generate_key(2048, {"kid": name, "use": "sig"})
