"""Passwords: only what argon2id makes of one is kept."""

import secrets
import threading
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

SHORTEST = 12
LONGEST = 200
"""Characters."""

_hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
"""As OWASP advises for servers, where many may log in at once."""
_room = threading.BoundedSemaphore(4)
"""Each takes 19 MiB for as long as it lasts: many at once would take the machine's memory."""


class UnfitPassword(ValueError):
    """It can be no password; the message says what can."""


def check(password: str, *, names: tuple[str, ...] = ()) -> None:
    """Raise `UnfitPassword` for one that is too easy; `names` are what it may not be."""
    if not SHORTEST <= len(password) <= LONGEST:
        raise UnfitPassword(f"a password has {SHORTEST} to {LONGEST} characters")
    if len(set(password)) < SHORTEST // 3:
        raise UnfitPassword("a password is not the same few characters again and again")
    if password.casefold() in {name.casefold() for name in names}:
        raise UnfitPassword("a password is not the name or the address of its owner")


def digest(password: str) -> str:
    """Return what is kept of it."""
    with _room:
        return _hasher.hash(password)


def is_right(kept: str | None, password: str) -> bool:
    """Tell whether this is the password; None is that of nobody, which takes as long."""
    with _room:
        try:
            return _hasher.verify(kept or _nobodys(), password) and kept is not None
        except (VerificationError, InvalidHashError):
            return False


@cache
def _nobodys() -> str:
    """Return what is kept of no password: who is not there takes as long as who is."""
    return _hasher.hash(secrets.token_hex())


def is_outdated(kept: str) -> bool:
    """Tell whether a password is kept with more effort today."""
    return _hasher.check_needs_rehash(kept)
