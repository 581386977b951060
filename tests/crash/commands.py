"""Forks whole commands on request: `python -m tests.crash.commands`, as the nursery does workers.

Each is `barbeque WORDS` as anybody types it, in a process that has imported everything already.
"""

import os
import sys
from typing import Any

import barbeque_py.cli.site  # what `api` imports when it runs
import barbeque_worker.main  # what `worker` does
from barbeque_py.cli import root
from tests.crash.nursery import nurse

assert barbeque_py.cli.site
assert barbeque_worker.main


def run(order: dict[str, Any]) -> None:
    """Be the command until its end; in the child only."""
    os.environ.clear()  # noqa: TID251 - the command's own
    os.environ.update(order["environment"])  # noqa: TID251
    log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    code = root.run(order["words"])
    sys.stdout.flush()
    os._exit(code)


if __name__ == "__main__":
    nurse(run)
