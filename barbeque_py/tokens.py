"""Tokens: what a program shows to say who it is; we keep only a digest of one."""

import hashlib
import re
import secrets
import string

_ID_LENGTH = 12
_LETTERS = string.ascii_lowercase + string.digits
_FORM = re.compile(rf"bq_([a-z0-9]{{{_ID_LENGTH}}})_[A-Za-z0-9_-]{{43}}")


def new_token() -> tuple[str, str]:
    """Return a new token's public id and its text, `bq_<id>_<256 random bits>`."""
    token_id = "".join(secrets.choice(_LETTERS) for _ in range(_ID_LENGTH))
    return token_id, f"bq_{token_id}_{secrets.token_urlsafe(32)}"


def id_of(text: str) -> str | None:
    """Return the public id that the text begins with; None when it has not a token's form."""
    form = _FORM.fullmatch(text)
    return None if form is None else form[1]


def digest(text: str) -> str:
    """Return what is kept of a token: SHA-256, enough for what is as random as its key."""
    return hashlib.sha256(text.encode()).hexdigest()
