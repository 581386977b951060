"""Who speaks to a service of the cloud: what the request's signature says of it."""

from contextvars import ContextVar

ACCOUNT = "123456789012"
REGION = ContextVar("REGION", default="us-east-1")
"""The Region that the request now answered was signed for."""
