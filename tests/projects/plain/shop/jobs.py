"""The functions that the app runs as jobs."""

from typing import Any

from barbeque_py import job
from barbeque_py.jobs import Jobs

jobs = Jobs("shop")


@jobs.job
def invoice(order: int, *, copies: int = 1) -> dict[str, Any]:
    """Return what was asked for, and that it ran as a job."""
    job.progress(50, f"order {order}")
    return {"order": order, "copies": copies, "retries": job.attempt().retry_count}


@jobs.job(priority=5, tags={"kind": "slow"})
async def wait(seconds: float) -> None:
    """Return nothing, and await."""


@jobs.job(name="Broken")
def broken() -> set[int]:
    """Return what JSON has no form for."""
    return {1}
