"""Roles: what people may do, in words that people use; each stands for scopes that tokens have."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from barbeque_py.identity import Identity, Scope


class Role(StrEnum):
    """What somebody is to an app, or to all of them; each holds what stands before it.

    Only the right to read logs stands for itself: viewers are given it or not, operators have it.
    """

    VIEWER = "viewer"
    LOGS = "logs:read"
    OPERATOR = "operator"
    DEPLOYER = "deployer"
    ADMIN = "admin"


MEANINGS = {
    Role.VIEWER: "sees executions, jobs and queues, but no logs",
    Role.LOGS: "reads logs, beside being a viewer",
    Role.OPERATOR: "runs, retries and cancels, and reads logs",
    Role.DEPLOYER: "changes jobs, releases and rolls back, as well",
    Role.ADMIN: "everything: apps, queues, tokens, members, the audit trail",
}

_VIEW = frozenset({Scope.READ})
_OPERATE = _VIEW | {Scope.LOGS, Scope.ENQUEUE}
_SCOPES = {
    Role.VIEWER: _VIEW,
    Role.LOGS: frozenset({Scope.LOGS}),
    Role.OPERATOR: _OPERATE,
    Role.DEPLOYER: _OPERATE | {Scope.DEPLOY},
    Role.ADMIN: frozenset(Scope),
}
_LEAST = {
    Scope.READ: Role.VIEWER,
    Scope.LOGS: Role.LOGS,
    Scope.ENQUEUE: Role.OPERATOR,
    Scope.DEPLOY: Role.DEPLOYER,
    Scope.METRICS: Role.ADMIN,
    Scope.ADMIN: Role.ADMIN,
}


def role_for(scope: Scope) -> Role:
    """Return the least role that may do it."""
    return _LEAST[scope]


@dataclass(frozen=True, slots=True, order=True)
class Grant:
    """One role, to one app or to all of them."""

    role: Role
    app: str | None = None

    def __str__(self) -> str:
        return self.role if self.app is None else f"{self.role}@{self.app}"


Grants = frozenset[Grant]
ADMIN: Grants = frozenset({Grant(Role.ADMIN)})


def read_grants(words: Iterable[str]) -> Grants:
    """Return what these words give: `viewer`, `operator@media`. Raises `ValueError`."""
    return frozenset(map(_read_grant, words))


def write_grants(grants: Grants) -> str:
    """Return the words, in the order of what they give."""
    order = list(Role)
    found = sorted(grants, key=lambda each: (order.index(each.role), each.app or ""))
    return " ".join(map(str, found))


def _read_grant(word: str) -> Grant:
    name, mark, app = word.strip().partition("@")
    if name not in [*Role]:
        raise ValueError(f"{name[:60]!r} is not a role; there are {', '.join(Role)}")
    if mark and not app:
        raise ValueError(f"{word[:60]!r} names no app: write {name}@APP, or {name} for all apps")
    if app and name == Role.ADMIN:
        raise ValueError("the role admin is for every app: leave the app out")
    if any(letter.isspace() for letter in app):
        raise ValueError(f"{app[:60]!r} is not an app's name")
    return Grant(Role(name), app or None)


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who uses the console."""

    name: str
    """What the audit trail calls them: their email address, where there is one."""
    grants: Grants
    origin: str = ""
    """Where they ask from: the peer's address."""
    user: int | None = None
    """Their number among the members; None for who came by a link of this machine, or unasked."""

    def may(self, scope: Scope, app: str | None = None) -> bool:
        """Tell whether they may do that to this app; without one, to every app."""
        return any(scope in _SCOPES[each.role] for each in self.grants if each.app in (None, app))

    def on(self, app: str | None) -> Identity:
        """Return who they are to one app; without one, to what is everybody's.

        Whoever is given one app only never has an identity that reaches others.
        """
        of_all = self._scopes([None])
        scopes = self._scopes([None, app])
        return Identity(self.name, scopes, None if scopes == of_all else app, self.origin)

    def apps(self, scope: Scope) -> frozenset[str] | None:
        """Return the apps to which they may do that; None is all of them."""
        if self.may(scope):
            return None
        found = (each.app for each in self.grants if scope in _SCOPES[each.role])
        return frozenset(app for app in found if app is not None)

    def at(self, origin: str) -> "Person":
        """Return the same person, asking from there."""
        return replace(self, origin=origin)

    def _scopes(self, apps: Collection[str | None]) -> frozenset[Scope]:
        scopes = (_SCOPES[each.role] for each in self.grants if each.app in apps)
        return frozenset[Scope]().union(*scopes)


@dataclass(frozen=True, slots=True)
class Rule:
    """Whom somebody else vouches for, and what that gives them."""

    whom: str
    """An address, `@` and the end of addresses, or `group:` and a group's name."""
    grant: Grant

    def fits(self, email: str, groups: Collection[str]) -> bool:
        """Tell whether it is about who has this address and is in these groups."""
        kind, mark, name = self.whom.partition(":")
        if mark and kind == "group":
            return name in groups
        domain = email.rpartition("@")[2]
        return self.whom == email or (self.whom.startswith("@") and self.whom[1:] == domain)


def grants_by(rules: Iterable[Rule], email: str, groups: Collection[str]) -> Grants:
    """Return what the rules give to who has this address, in lower case, and these groups."""
    return frozenset(each.grant for each in rules if each.fits(email, groups))
