"""What the cloud's front asks of a service, and how a service says no."""

from typing import Any, Protocol

Json = dict[str, Any]


class AwsFault(Exception):
    """An error answer, as AWS's JSON protocols write it."""

    def __init__(self, code: str, message: str, *, status: int = 400, **more: Any) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status
        self.more = more
        """Further members of the error, such as `resourceIds`."""


class Service(Protocol):
    """One AWS service spoken to in JSON (`X-Amz-Target: PREFIX.Operation`)."""

    async def answer(self, operation: str, request: Json) -> Json:
        """Carry the operation out and return its result; raises `AwsFault`."""
        ...

    async def control(self, verb: str, request: Json) -> Json:
        """Carry out a wish of the test itself (`POST /_cloud/SERVICE/VERB`), not of AWS's API."""
        ...

    async def close(self) -> None:
        """End what runs."""
        ...
