"""`python -m barbeque_py.run shop.jobs:jobs`: run the function that this job is, in its container.

With `--definitions IMAGE` it prints an apply file that defines every function as a job.
"""

import argparse
import importlib
import json
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from barbeque_py import job
from barbeque_py.jobs import Jobs, plain

LOST = (
    "barbeque_py: what it returned is not kept: the job was given no place to tell it; "
    "say `report_files: true` in its definition, or set BARBEQUE_JOB_URL"
)


def main(words: Sequence[str] | None = None) -> int:
    """Run it; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m barbeque_py.run")
    parser.add_argument("jobs", metavar="MODULE:NAME", help="where the Jobs are")
    parser.add_argument("--definitions", metavar="IMAGE", help="print an apply file instead")
    asked = parser.parse_args(words)
    sys.path.insert(0, str(Path.cwd()))
    try:
        jobs = find(asked.jobs)
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        parser.error(f"{asked.jobs}: {error}")
    if asked.definitions is not None:
        command = ["python", "-m", "barbeque_py.run", asked.jobs]
        print(json.dumps(jobs.definitions(asked.definitions, command), indent=2))  # noqa: T201 - it is the output
        return 0
    return perform(lambda: jobs.run(job.attempt().job, job.message()))


def find(place: str) -> Jobs:
    """Return the Jobs at `module:name`."""
    module, _, name = place.partition(":")
    found = getattr(importlib.import_module(module), name or "jobs")
    if not isinstance(found, Jobs):
        raise TypeError(f"{name or 'jobs'} is a {type(found).__name__}, not Jobs")
    return found


def perform(work: Callable[[], Any]) -> int:
    """Do the work and tell what it returns, where that is not None; return the exit code."""
    try:
        tell(work())
    except Exception:  # noqa: BLE001 - whatever it is, it is the job's failure
        traceback.print_exc()
        return 1
    return 0


def tell(result: Any) -> None:
    """Tell the job's result, unless it is None."""
    if result is not None and not job.result(plain(result)):
        sys.stderr.write(f"{LOST}\n")


if __name__ == "__main__":
    sys.exit(main())
