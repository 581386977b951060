"""A stand for tests of the ECS simulator: its object, moto behind it, and a loop in a thread."""

import asyncio
import json
import threading
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Self, TypeVar

from tests.cloud.ecs import Ecs
from tests.cloud.service import Json
from tests.waiting import wait_until

Answer = TypeVar("Answer")

NETWORK = {"awsvpcConfiguration": {"subnets": ["subnet-1"]}}


class EcsRig:
    """An `Ecs` of its own with the cluster `c` and the definition `app:1` for Fargate."""

    def __init__(self, moto_endpoint: str, *, runner: str = "fake", seed: int = 1) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.sent: list[tuple[str, Json, float]] = []
        self.ecs = Ecs(moto_endpoint, self._send, seed=seed)
        self.wish("configure", runner=runner, provision_seconds=0, deprovision_seconds=0)
        self.ask("CreateCluster", clusterName="c", capacityProviders=["FARGATE", "FARGATE_SPOT"])
        self.definition = self.register()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._do(self.ecs.close())
        self._do(self._loop.shutdown_default_executor())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def ask(self, operation: str, **request: Any) -> Json:
        """Call the API; raises `AwsFault`."""
        return self._do(self.ecs.answer(operation, request))

    def wish(self, verb: str, **request: Any) -> Json:
        """Use a control verb."""
        return self._do(self.ecs.control(verb, request))

    def register(self, *, family: str = "app", **changes: Any) -> str:
        """Register a definition of one container named app; return its ARN."""
        container = {"name": "app", "image": "app:1", **changes.pop("container", {})}
        answer = self.ask(
            "RegisterTaskDefinition",
            **{
                "family": family,
                "requiresCompatibilities": ["FARGATE"],
                "networkMode": "awsvpc",
                "cpu": "256",
                "memory": "512",
                "executionRoleArn": "arn:aws:iam::123456789012:role/execution",
                "containerDefinitions": [container, *changes.pop("others", [])],
                **changes,
            },
        )
        return str(answer["taskDefinition"]["taskDefinitionArn"])

    def run(self, **request: Any) -> Json:
        """RunTask on Fargate; `command` and `env` become overrides of the container app."""
        command, env = request.pop("command", None), request.pop("env", None)
        override: Json = {"name": "app"}
        if command:
            override["command"] = ["sh", "-c", command]
        if env:
            override["environment"] = [
                {"name": name, "value": str(value)} for name, value in env.items()
            ]
        if command or env:
            request.setdefault("overrides", {})["containerOverrides"] = [override]
        if not {"launchType", "capacityProviderStrategy"} & set(request):
            request["launchType"] = "FARGATE"
        request = {"taskDefinition": self.definition, "networkConfiguration": NETWORK} | request
        return self.ask("RunTask", cluster="c", **request)

    def begin(self, **request: Any) -> str:
        """RunTask as `run`; return the ARN of the one task."""
        answer = self.run(**request)
        assert answer["failures"] == []
        return str(answer["tasks"][0]["taskArn"])

    def look(self, arn: str) -> Json:
        """Describe one task."""
        task: Json = self.ask("DescribeTasks", cluster="c", tasks=[arn])["tasks"][0]
        return task

    def reach(self, arn: str, status: str = "STOPPED") -> Json:
        """Wait until the task has the status; return it."""

        def look() -> Json | None:
            task = self.look(arn)
            return task if task["lastStatus"] == status else None

        return wait_until(look, f"{arn} is {status}")

    def events(self, arn: str) -> list[Json]:
        """Return the details of the events sent about a task."""
        return [body["detail"] for _, body, _ in self.sent if body["resources"] == [arn]]

    def _send(self, queue: str, body: str, delay: float) -> None:
        self.sent.append((queue, json.loads(body), delay))

    def _do(self, work: Coroutine[Any, Any, Answer]) -> Answer:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)
