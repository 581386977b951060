"""Tickets: what lets the job of one attempt, and nobody else, ask for its message."""

import hashlib
import hmac

_LENGTH = 40
_PURPOSE = b"barbeque ticket of the attempt "


def ticket(secret: bytes, attempt_id: str) -> str:
    """Return the attempt's ticket, 40 hexadecimal digits; the same each time."""
    digest = hmac.new(secret, _PURPOSE + attempt_id.encode(), hashlib.sha256)
    return digest.hexdigest()[:_LENGTH]


def is_ticket(secret: bytes, attempt_id: str, shown: str) -> bool:
    """Tell whether this is the attempt's ticket, in the same time whatever it is."""
    return hmac.compare_digest(ticket(secret, attempt_id).encode(), shown.encode())
