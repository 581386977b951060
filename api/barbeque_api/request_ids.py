"""The id of the request that is being answered, for log lines."""

from contextvars import ContextVar

request_id: ContextVar[str] = ContextVar("barbeque_request_id", default="-")
