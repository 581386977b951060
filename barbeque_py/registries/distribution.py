"""Asks any registry what a tag means, by the HTTP API that all of them have."""

import hashlib
import ipaddress
import logging
import re
from collections.abc import Mapping
from contextlib import ExitStack
from functools import cached_property

import httpx

from barbeque_py.errors import UnknownImage
from barbeque_py.images import reference_of, repository_of

log = logging.getLogger(__name__)

_KINDS = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
_PATIENCE = 5.0
_LARGEST = 4 * 1024 * 1024
"""Bytes of a manifest or a token's answer: what registries take at most."""
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_PARAMETER = re.compile(r'(\w+)="([^"]*)"')
_HUB = {"docker.io": "registry-1.docker.io", "index.docker.io": "registry-1.docker.io"}
_OK, _UNAUTHORIZED, _NOT_FOUND = 200, 401, 404


class DistributionRegistry:
    """Registries that anybody may read, with a token for everybody where they want one."""

    def __init__(self) -> None:
        self._opened = ExitStack()

    @cached_property  # as a client loads all the authorities, and most processes ask no registry
    def _far(self) -> httpx.Client:
        return self._opened.enter_context(httpx.Client(timeout=_PATIENCE))

    @cached_property
    def _near(self) -> httpx.Client:
        # A proxy for the internet can't reach this machine's own loopback.
        return self._opened.enter_context(httpx.Client(timeout=_PATIENCE, trust_env=False))

    def digest_of(self, image: str) -> str | None:
        """Ask for the tag's manifest; None when the registry refuses or does not answer."""
        host, _, name = repository_of(image).partition("/")
        if host in _HUB:
            host, name = _HUB[host], name if "/" in name else f"library/{name}"
        near = _is_loopback(host)
        address = (
            f"{'http' if near else 'https'}://{host}/v2/{name}/manifests/{reference_of(image)}"
        )
        try:
            return self._ask(self._near if near else self._far, address, name)
        except _Absent:
            raise UnknownImage(
                f"there is no image {image}: its registry does not know it"
            ) from None
        except (httpx.HTTPError, httpx.InvalidURL, _Refused) as error:
            log.warning("what %s means is not known yet: %s", image, error or type(error).__name__)
            return None

    def close(self) -> None:
        """Close the connections."""
        self._opened.close()

    def _ask(self, client: httpx.Client, address: str, name: str) -> str:
        headers = {"Accept": ", ".join(_KINDS)}
        answer = client.head(address, headers=headers)
        if answer.status_code == _UNAUTHORIZED:
            token = self._token(client, answer.headers.get("www-authenticate", ""), name)
            headers["Authorization"] = f"Bearer {token}"
            answer = client.head(address, headers=headers)
        if answer.status_code == _NOT_FOUND:
            raise _Absent
        if answer.status_code != _OK:
            raise _Refused(f"the registry answered {answer.status_code}")
        digest = answer.headers.get("docker-content-digest", "")
        if _DIGEST.fullmatch(digest):
            return str(digest)
        return f"sha256:{hashlib.sha256(_read(client, address, headers)).hexdigest()}"

    def _token(self, client: httpx.Client, challenge: str, name: str) -> str:
        """Return a token that anybody gets where the registry says."""
        kind, _, rest = challenge.partition(" ")
        said = dict(_PARAMETER.findall(rest))
        realm = httpx.URL(said.get("realm", ""))
        if kind.lower() != "bearer" or not _may_be_asked(realm, near=client is self._near):
            raise _Refused("the registry lets only those in whom it knows")
        wanted = {"service": said.get("service", ""), "scope": f"repository:{name}:pull"}
        answer = client.get(realm, params=realm.params.merge(wanted))
        try:
            facts = answer.json()
            token = facts.get("token") or facts["access_token"]
        except (ValueError, KeyError, AttributeError):
            token = None
        if answer.status_code != _OK or not isinstance(token, str) or not token.isprintable():
            raise _Refused(f"the registry gives no token to everybody ({answer.status_code})")
        return token


class _Absent(Exception):
    """The registry has no such image."""


class _Refused(Exception):
    """The registry does not tell."""


def _read(client: httpx.Client, address: str, headers: Mapping[str, str]) -> bytes:
    content = b""
    with client.stream("GET", address, headers=headers) as answer:
        if answer.status_code != _OK:
            raise _Refused(f"the registry answered {answer.status_code}")
        for piece in answer.iter_bytes():
            content += piece
            if len(content) > _LARGEST:
                raise _Refused("its manifest is larger than any")
    return content


def _may_be_asked(realm: httpx.URL, *, near: bool) -> bool:
    """Tell whether a registry may send us there: to HTTPS, or within this machine."""
    return realm.scheme == "https" or (near and _is_loopback(realm.netloc.decode()))


def _is_loopback(host: str) -> bool:
    """Tell whether the registry is on this machine, where Docker speaks plain HTTP, too."""
    name = httpx.URL(f"http://{host}").host
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
