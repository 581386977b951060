"""Who acts, and what they may do."""

from dataclasses import dataclass
from enum import StrEnum


class Scope(StrEnum):
    """What a token may be good for."""

    ENQUEUE = "enqueue"
    READ = "read"
    LOGS = "logs:read"
    """Read what attempts wrote, which may say more than its authors meant to."""
    DEPLOY = "deploy"
    """Change what an app runs: its jobs, its image, its schedules."""
    METRICS = "metrics"
    """Read `/metrics`, which tells of all apps, and nothing else."""
    ADMIN = "admin"
    """Everything of everybody: apps and queues, tokens, the audit trail."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who asks: a token's owner, or whoever reaches an API that asks nobody."""

    name: str
    """What the audit trail calls them."""
    scopes: frozenset[Scope]
    app: str | None = None
    """The only app they may see or change; None is all of them."""
    origin: str = ""
    """Where the request came from: the peer's address."""

    def may(self, scope: Scope, app: str | None = None) -> bool:
        """Tell whether they may do that, to this app where one is named."""
        if self.app is not None and app is not None and app != self.app:
            return False
        return scope in self.scopes or Scope.ADMIN in self.scopes

    def may_touch(self, scope: Scope, owner: str | None) -> bool:
        """Tell whether they may do that to what is this app's; what is nobody's is for no app."""
        return self.may(scope, owner) and (self.app is None or owner is not None)


FOR_EVERY_APP = (Scope.METRICS, Scope.ADMIN)
"""Scopes that no token of one app has."""

NOBODY = Identity("nobody", frozenset())
"""Who asks where nothing was shown that says more."""

EVERYBODY = Identity("anybody on this machine", frozenset(Scope))
"""Who asks where no authentication is configured, which is on loopback only."""
