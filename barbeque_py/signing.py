"""Signatures by the Standard Webhooks convention: whoever has the secret knows who sent this."""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Sequence

ID, TIMESTAMP, SIGNATURE = "webhook-id", "webhook-timestamp", "webhook-signature"
"""The headers' names."""

_PREFIX = "whsec_"
_BYTES = 32


def new_secret() -> str:
    """Return a new secret: `whsec_` and 32 random bytes in base64."""
    return _PREFIX + base64.b64encode(secrets.token_bytes(_BYTES)).decode()


def signed(keys: Sequence[str], message_id: str, seconds: int, body: bytes) -> dict[str, str]:
    """Return the three headers that go with the body, sent `seconds` after 1970.

    While a secret is being replaced there are two, and a signature by each: the receiver takes
    the message when it knows either.
    """
    content = b"%s.%d.%s" % (message_id.encode(), seconds, body)
    signatures = [f"v1,{_signature(each, content)}" for each in keys]
    return {ID: message_id, TIMESTAMP: str(seconds), SIGNATURE: " ".join(signatures)}


def _signature(secret: str, content: bytes) -> str:
    key = base64.b64decode(secret.removeprefix(_PREFIX))
    return base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()
