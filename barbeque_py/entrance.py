"""The entrance of the console: by which ways people come in, and what each needs to be set."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from barbeque_py.errors import ConfigurationError
from barbeque_py.roles import Rule
from barbeque_py.targets import Network

if TYPE_CHECKING:
    from barbeque_py.settings import Settings

LINK, USERS, OIDC, PROXY = "link", "users", "oidc", "proxy"
WAYS = (LINK, USERS, OIDC, PROXY)
NOBODY_IS_ASKED = "none"


@dataclass(frozen=True, slots=True)
class Provider:
    """Who vouches for people by OpenID Connect."""

    issuer: str
    client: str
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Entrance:
    """What a console asks of those who come."""

    ways: frozenset[str]
    """Of `WAYS`; without any, nobody is asked."""
    rules: tuple[Rule, ...] = ()
    provider: Provider | None = None
    peers: tuple[Network, ...] = ()
    """Where the proxy asks from that vouches for people."""
    proxy_secret: str = field(default="", repr=False)

    @property
    def guards_strangers(self) -> bool:
        """Whether it is fit for an address that others than this machine reach."""
        return bool(self.ways - {LINK})


def entrance_of(settings: "Settings") -> Entrance:
    """Return the entrance as it is set. Raises `ConfigurationError`, naming what is missing."""
    ways = settings.login
    return Entrance(
        ways=ways,
        rules=settings.roles or (),
        provider=_provider(settings) if OIDC in ways else None,
        peers=_peers(settings) if PROXY in ways else (),
        proxy_secret=settings.proxy_secret or "",
    )


def _provider(settings: "Settings") -> Provider:
    needed = {
        "BARBEQUE_OIDC": settings.oidc,
        "BARBEQUE_OIDC_CLIENT": settings.oidc_client,
        "BARBEQUE_OIDC_SECRET": settings.oidc_secret,
        "BARBEQUE_HOST": settings.host_url,
    }
    missing = [name for name, value in needed.items() if not value]
    if missing:
        raise ConfigurationError(
            f"BARBEQUE_LOGIN names oidc, so {' and '.join(missing)} must be set"
        )
    return Provider(settings.oidc or "", settings.oidc_client or "", settings.oidc_secret or "")


def _peers(settings: "Settings") -> tuple[Network, ...]:
    if not settings.proxies or not settings.proxy_secret:
        raise ConfigurationError(
            "BARBEQUE_LOGIN names proxy, so BARBEQUE_PROXIES must say where the proxy asks from, "
            "and BARBEQUE_PROXY_SECRET what it shows to be believed"
        )
    return settings.proxies
