"""Who speaks to a service of the cloud: what the request's signature says of it."""

from contextvars import ContextVar

ACCOUNT = "123456789012"
REGION = ContextVar("REGION", default="us-east-1")
"""The Region that the request now answered was signed for."""

ENDPOINT = ContextVar("ENDPOINT", default="http://127.0.0.1")
"""Where the client of that request finds the cloud: queues are said to be there."""
