"""Run container jobs, exactly one container per attempt, from a laptop to a fleet."""

TYPE_CHECKING = False
if TYPE_CHECKING:  # typing itself loads slowly
    from barbeque_py.async_client import AsyncClient
    from barbeque_py.calls import Job
    from barbeque_py.client import Client

__all__ = ["AsyncClient", "Client", "Job"]

_HOMES = {"AsyncClient": "async_client", "Client": "client", "Job": "calls"}


def __getattr__(name: str) -> object:
    """Load what apps import from here when they first ask for it: httpx takes a while."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415 - nobody pays who does not ask

    found: object = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    return found
