"""Addresses that apps ask us to send to: which are fit, and which lead into our own network."""

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass

from barbeque_py.errors import ForbiddenTarget

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

LONGEST = 2000
_HTTPS = 443
_LAST_PORT = 65_535

_URL = re.compile(
    r"(?P<scheme>https?)://(?P<host>\[[0-9a-f:.]{2,45}\]|[a-z0-9._-]{1,253})(?::(?P<port>\d{1,5}))?"
    r"(?P<path>/[!$&-;=?-Z_a-z~%\[\]]*|\?[!$&-;=?-Z_a-z~%\[\]]*)?",
    re.IGNORECASE | re.ASCII,
)
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)", re.ASCII)
_LIKE_A_NUMBER = re.compile(r"\d+|0x[0-9a-f]*", re.ASCII)

_NEVER_GLOBAL = (".localhost", ".local", ".internal", ".localdomain", ".home.arpa")

_METADATA = frozenset(
    ipaddress.ip_address(each)
    for each in (
        "169.254.169.254",  # AWS, Google, Azure and most others
        "169.254.170.2",  # credentials of ECS tasks
        "169.254.170.23",  # credentials of EKS pods
        "100.100.100.200",  # Alibaba
        "168.63.129.16",  # Azure's host, which looks global
        "192.0.0.192",  # Oracle
        "fd00:ec2::254",
        "fd00:ec2::23",
        "fd20:ce::254",  # Google
    )
)
"""Addresses that hand out credentials of the machine: no list allows them."""

_NOT_GLOBAL_4 = [
    ipaddress.IPv4Network(each)
    for each in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
    )
]
_GLOBAL_6 = ipaddress.IPv6Network("2000::/3")
_NOT_GLOBAL_6 = [
    ipaddress.IPv6Network(each)
    # Protocols (Teredo's among them), examples, 6to4, examples again.
    for each in "2001::/23 2001:db8::/32 2002::/16 3fff::/20".split()  # noqa: SIM905 - one list
]
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


@dataclass(frozen=True, slots=True)
class Target:
    """Where something is to be sent."""

    scheme: str
    host: str
    """A name or an address without brackets, in lower case."""
    port: int
    path: str
    """With the query, from the `/` on."""

    @property
    def origin(self) -> str:
        """The target without its path, for people and for lanes: paths may hold secrets."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        usual = self.port == (_HTTPS if self.scheme == "https" else 80)
        return f"{self.scheme}://{host}" + ("" if usual else f":{self.port}")


@dataclass(frozen=True, slots=True)
class Allowed:
    """Targets in our own network that the operator lets apps name."""

    hosts: frozenset[str] = frozenset()
    """Names, exactly; `*.example.com` is every name below."""
    networks: tuple[Network, ...] = ()

    def names(self, host: str) -> bool:
        """Tell whether the host is listed by its name."""
        parents = host.split(".")
        above = {"*." + ".".join(parents[n:]) for n in range(1, len(parents))}
        return not self.hosts.isdisjoint({host, *above})

    def holds(self, address: Address) -> bool:
        """Tell whether the address is in a listed network."""
        return any(address in network for network in self.networks)


def read_allowed(text: str) -> Allowed:
    """Read a list of names, addresses and networks; raises `ValueError` with the cure."""
    hosts, networks = set(), []
    for word in text.replace(",", " ").split():
        try:
            networks.append(ipaddress.ip_network(word))
        except ValueError:
            labels = word.lower().removeprefix("*.").split(".")
            if _LIKE_A_NUMBER.fullmatch(labels[-1]) or not all(map(_LABEL.fullmatch, labels)):
                raise ValueError(
                    f"{word[:80]!r} is neither a host's name nor a network such as 10.0.0.0/8"
                ) from None
            hosts.add(word.lower())
    return Allowed(frozenset(hosts), tuple(networks))


def read_target(url: str) -> Target:
    """Read an address strictly: what two readers could understand differently is refused.

    No user, no fragment, no backslash, no letters beyond ASCII (an international name is written
    as `xn--…`), numbers of IPv4 as four decimals. Raises `ForbiddenTarget`.
    """
    if len(url) > LONGEST:
        raise ForbiddenTarget(f"the address is longer than {LONGEST} characters")
    found = _URL.fullmatch(url)
    if found is None:
        raise ForbiddenTarget("the address is not one of the form https://host/path")
    scheme = found["scheme"].lower()
    port = int(found["port"]) if found["port"] else (_HTTPS if scheme == "https" else 80)
    if not 1 <= port <= _LAST_PORT:
        raise ForbiddenTarget(f"the port {port} is none")
    path = found["path"] or "/"
    return Target(
        scheme, _host(found["host"].lower()), port, path if path[0] == "/" else f"/{path}"
    )


def _host(text: str) -> str:
    if text.startswith("["):
        try:
            return str(ipaddress.IPv6Address(text[1:-1]))
        except ValueError:
            raise ForbiddenTarget("the address in brackets is not one of IPv6") from None
    labels = text.split(".")
    if _LIKE_A_NUMBER.fullmatch(labels[-1]):
        try:
            return str(ipaddress.IPv4Address(text))
        except ValueError:
            raise ForbiddenTarget("its host is not four decimal numbers, nor a name") from None
    if not all(_LABEL.fullmatch(label) for label in labels):
        raise ForbiddenTarget("its host is not a name")
    return text


def check_target(target: Target, allowed: Allowed) -> None:
    """Refuse what needs no resolver to be refused; raises `ForbiddenTarget`."""
    literal = literal_of(target)
    if literal is not None:
        check_addresses(target, [literal], allowed)
        return
    if allowed.names(target.host):
        return
    if "." not in target.host or f".{target.host}".endswith(_NEVER_GLOBAL):
        raise _unlisted(f"{target.host} is a name of a private network")
    if not allowed.networks:
        _check_public_form(target)


def check_addresses(target: Target, addresses: Sequence[Address], allowed: Allowed) -> None:
    """Refuse the target unless every address it has may be spoken to; raises `ForbiddenTarget`."""
    if not addresses:
        raise ForbiddenTarget(f"{target.host} has no address")
    plain = [_unwrapped(each) for each in addresses]
    if not _METADATA.isdisjoint(plain):
        raise ForbiddenTarget(f"{target.host} leads to credentials of the machine")
    if allowed.names(target.host) or all(map(allowed.holds, plain)):
        return
    if not all(is_global(each) or allowed.holds(each) for each in plain):
        raise _unlisted(f"{target.host} leads to an address that is not public")
    _check_public_form(target)


def is_global(address: Address) -> bool:
    """Tell whether the address is one of the public internet, whatever it wraps."""
    plain = _unwrapped(address)
    if isinstance(plain, ipaddress.IPv4Address):
        return plain not in _METADATA and not any(plain in each for each in _NOT_GLOBAL_4)
    return plain in _GLOBAL_6 and not any(plain in each for each in _NOT_GLOBAL_6)


def literal_of(target: Target) -> Address | None:
    """Return the target's address where it is no name."""
    try:
        return ipaddress.ip_address(target.host)
    except ValueError:
        return None


def _unwrapped(address: Address) -> Address:
    """Return the IPv4 address inside one of IPv6 that stands for it on the wire."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF) if address in _NAT64 else address


def _check_public_form(target: Target) -> None:
    if target.scheme != "https":
        raise _unlisted("http is for listed targets only: use https")
    if target.port != _HTTPS:
        raise _unlisted(f"port {target.port} is for listed targets only: use 443")


def _unlisted(reason: str) -> ForbiddenTarget:
    return ForbiddenTarget(f"{reason} (BARBEQUE_WEBHOOK_ALLOW lists targets that may be private)")
