"""Settings that say who comes in, each read by one function.

Every reader raises `ValueError` with the cure; those of secrets leave the text out of it.
"""

import ipaddress
import re
from urllib.parse import urlsplit

from barbeque_py.addresses import EMAIL
from barbeque_py.roles import Rule, read_grants
from barbeque_py.setting_addresses import HTTP
from barbeque_py.targets import Network

SHORTEST_SECRET = 32
"""Characters of the secret that a proxy shows."""

_WAYS = ("link", "users", "oidc", "proxy")

_TOKEN = re.compile(r"[\x21-\x7e]+")


def read_token(text: str) -> str:
    """Read a token: what fits into an HTTP header."""
    if _TOKEN.fullmatch(text) is None:
        raise ValueError("a token has visible ASCII characters only; copy it again")
    return text


def read_auth(text: str) -> bool:
    """Read whether each request needs a token: `tokens`, or `none`."""
    known = {"tokens": True, "none": False}
    if text.lower() not in known:
        raise ValueError("write tokens, or none (on loopback only)")
    return known[text.lower()]


def read_login(text: str) -> frozenset[str]:
    """Return the ways into the console; none where nobody is asked."""
    named = [each.strip() for each in text.split(",")]
    if named == ["none"]:
        return frozenset()
    strange = [each for each in named if each not in _WAYS]
    if strange:
        raise ValueError(f"write none, or some of {', '.join(_WAYS)}, joined by commas")
    return frozenset(named)


def read_roles(text: str) -> tuple[Rule, ...]:
    """Return who gets which role."""
    return tuple(_read_rule(each.strip()) for each in text.split(","))


def _read_rule(text: str) -> Rule:
    whom, mark, word = (part.strip() for part in text.rpartition("="))
    group = whom.startswith("group:") and len(whom) > len("group:")
    domain = whom.startswith("@") and EMAIL.fullmatch(f"x{whom}")
    if not mark or not (group or domain or EMAIL.fullmatch(whom)):
        raise ValueError(
            "write WHOM=ROLE, joined by commas, where WHOM is an address, @ and a domain, or "
            "group: and a group"
        )
    (grant,) = read_grants([word])
    return Rule(whom if group else whom.lower(), grant)


def read_issuer(text: str) -> str:
    """Return the issuer's URL exactly as it is written: it is compared so."""
    if not HTTP.fullmatch(text):
        raise ValueError("write a URL, as in https://accounts.example.com")
    if text.lower().startswith("http://") and not _is_here(text):
        raise ValueError("write https://: what the issuer says must not be read by others")
    return text


def _is_here(url: str) -> bool:
    name = urlsplit(url).hostname or ""
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def read_networks(text: str) -> tuple[Network, ...]:
    """Return the networks, of which each may be one address."""
    try:
        return tuple(ipaddress.ip_network(each.strip()) for each in text.split(","))
    except ValueError:
        raise ValueError("write networks or addresses, as in 10.0.0.0/24, 10.0.7.9") from None


def read_proxy_secret(text: str) -> str:
    """Return what a proxy must show."""
    if len(text) < SHORTEST_SECRET or not _TOKEN.fullmatch(text):
        raise ValueError(f"write at least {SHORTEST_SECRET} random characters without spaces")
    return text
