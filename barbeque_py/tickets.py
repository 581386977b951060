"""Tickets: what lets the job of one attempt, and nobody else, ask for what is its own."""

import hashlib
import hmac
from dataclasses import dataclass, field

_LENGTH = 40
_PURPOSE = b"barbeque ticket of the attempt "


def ticket(secret: bytes, attempt_id: str) -> str:
    """Return the attempt's ticket, 40 hexadecimal digits; the same each time."""
    digest = hmac.new(secret, _PURPOSE + attempt_id.encode(), hashlib.sha256)
    return digest.hexdigest()[:_LENGTH]


def is_ticket(secret: bytes, attempt_id: str, shown: str) -> bool:
    """Tell whether this is the attempt's ticket, in the same time whatever it is."""
    return hmac.compare_digest(ticket(secret, attempt_id).encode(), shown.encode())


@dataclass(frozen=True, slots=True)
class JobUrls:
    """Where jobs reach the API's routes for them: addresses that carry the attempt's ticket."""

    base: str
    """BARBEQUE_JOB_URL, without a slash at its end."""
    secret: bytes = field(repr=False)

    def message(self, attempt_id: str) -> str:
        """Return where the attempt's message is to be had."""
        return self._url(attempt_id, "message")

    def reports(self, attempt_id: str) -> dict[str, str]:
        """Return the variables that say where the job may post its progress and its result."""
        return {
            "BARBEQUE_PROGRESS_URL": self._url(attempt_id, "progress"),
            "BARBEQUE_RESULT_URL": self._url(attempt_id, "result"),
        }

    def of_backend(self, attempt_id: str) -> dict[str, str]:
        """Return where a backend that runs the attempt may post what it has to say of it."""
        return {
            "callback_url": self._url(attempt_id, "result"),
            "heartbeat_url": self._url(attempt_id, "heartbeat"),
            "progress_url": self._url(attempt_id, "progress"),
            "log_url": self._url(attempt_id, "log"),
        }

    def _url(self, attempt_id: str, noun: str) -> str:
        token = ticket(self.secret, attempt_id)
        return f"{self.base}/v2/attempts/{attempt_id}/{noun}?token={token}"
