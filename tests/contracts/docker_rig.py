"""What the executor's contract suite needs of Docker: an installation of its own, cleaned up."""

import secrets
import string
from dataclasses import replace

from barbeque_py import clock
from barbeque_py.executor import Launch
from barbeque_py.executors.docker import DockerExecutor
from barbeque_py.ids import attempt_id, new_message_id
from tests.images import make_test_image

SOCKET = "/var/run/docker.sock"


class DockerRig:
    """A Docker engine, seen by one installation that nobody else has."""

    name = "docker"

    def __init__(self, socket: str = SOCKET) -> None:
        self.socket = socket
        self.image = make_test_image(socket)
        letters = string.ascii_lowercase + string.digits
        self.installation = "".join(secrets.choice(letters) for _ in range(6))
        self._executors: list[DockerExecutor] = []

    def executor(self) -> DockerExecutor:
        """Return a fresh executor on the same place, as another worker would have."""
        executor = DockerExecutor(installation=self.installation, socket=self.socket)
        self._executors.append(executor)
        return executor

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
            memory=64,
            network="none",
        )
        return replace(launch, **changes)  # type: ignore[arg-type]  # the suite's own words

    def close(self) -> None:
        """Kill and remove what this installation made."""
        executor = self.executor()
        deadline = clock.monotonic() + 90
        while left := executor.remains():
            assert clock.monotonic() < deadline, f"these containers do not go: {left}"
            for attempt in left:
                executor.stop(attempt, kill=True)
                executor.remove(attempt)
        for used in self._executors:
            used.close()
