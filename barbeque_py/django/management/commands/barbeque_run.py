"""`manage.py barbeque_run`: run the task that this job is."""

import sys
from typing import Any

from django.core.management.base import BaseCommand

from barbeque_py.django.running import run_task


class Command(BaseCommand):  # type: ignore[misc]  # Django has no types
    """Runs the task, and ends as it ended."""

    help = "Run the task that this job of barbeque_py is: the command of its definition."

    def handle(self, *_args: Any, **_options: Any) -> None:
        """Run it; 0 when it succeeded, 1 when it raised."""
        sys.exit(run_task())
