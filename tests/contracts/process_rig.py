"""What the executor's contract suite needs of process mode: a home of its own, cleaned up."""

import tempfile
from dataclasses import replace
from pathlib import Path

from barbeque_py.executor import Launch, Standing
from barbeque_py.executors.process import ProcessExecutor
from barbeque_py.ids import attempt_id, new_message_id
from tests.waiting import wait_until


class ProcessRig:
    """Process mode in a temporary home."""

    name = "process"
    image = "media:latest"

    def __init__(self) -> None:
        self._temporary = tempfile.TemporaryDirectory(prefix="barbeque-")
        self.home = Path(self._temporary.name)
        self.attempts = self.home / "processes" / "abc123"

    def executor(self) -> ProcessExecutor:
        """Return a fresh executor on the same home."""
        return ProcessExecutor(home=self.home, slots=4, installation="abc123")

    def launch(self, script: str, **changes: object) -> Launch:
        """Return a new attempt of a new message that runs the script."""
        message_id = new_message_id()
        launch = Launch(
            attempt=attempt_id(message_id, 1),
            message_id=message_id,
            number=1,
            app="media",
            job="Thumbnail",
            image=self.image,
            command=("sh", "-c", script),
            environment={"BARBEQUE_MESSAGE_ID": message_id},
            timeout=60.0,
            grace=5.0,
        )
        return replace(launch, **changes)  # type: ignore[arg-type]  # the suite's own words

    def close(self) -> None:
        """Kill and remove what was started."""
        executor = self.executor()

        def is_empty() -> bool:
            left = executor.remains()
            for attempt, sighting in executor.sightings(left).items():
                if sighting.standing is Standing.RUNNING:
                    executor.stop(attempt, kill=True)
                else:
                    executor.remove(attempt)
            return not left

        with self._temporary:
            wait_until(is_empty, "nothing runs any more")
