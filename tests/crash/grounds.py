"""Where a drill takes place: one machine, or a fleet on an AWS of its own."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Protocol

from barbeque_py.brokers.sqs_queues import SqsQueues
from barbeque_py.store import Store, lanes
from barbeque_py.wiring.parts import Parts
from tests.cloud.rig import CloudProcess

CLUSTER, BUCKET = "drill", "drill-logs"


class Ground(Protocol):
    """What differs between places: the parts' URLs, what they need, what they may leave."""

    def environment(self) -> dict[str, str]:
        """Return the variables that workers start with."""
        ...

    def furnish(self, installation: str) -> None:
        """Make what an operator makes before the first worker starts."""
        ...

    def calm(self) -> None:
        """Stop all faults."""
        ...

    def starts(self) -> Counter[str] | None:
        """Count what was started by attempt, where the place itself can tell."""
        ...

    def leftovers(self, store: Store, parts: Parts) -> list[str]:
        """Return what is left over that should not be."""
        ...


@dataclass(frozen=True, slots=True)
class OneMachine:
    """Processes or containers of this machine, and queues in the database."""

    executor: str = "process:?slots=8"

    def environment(self) -> dict[str, str]:
        return {"BARBEQUE_EXECUTOR": self.executor}

    def furnish(self, installation: str) -> None:
        pass

    def calm(self) -> None:
        pass

    def starts(self) -> Counter[str] | None:
        return None

    def leftovers(self, store: Store, parts: Parts) -> list[str]:
        faults = []
        if remains := parts.executor.remains():
            faults.append(f"{len(remains)} attempts still hold something: {remains[:3]}")
        if depth := store.read(lambda tx: lanes.depth(tx, "default")):
            faults.append(f"{depth} messages are left on the queue")
        return faults


@dataclass(frozen=True, slots=True)
class Fleet:
    """SQS, ECS, S3 and CloudWatch Logs of a cloud, with the faults a real one has."""

    cloud: CloudProcess
    runner: str = "process"
    faults: dict[str, Any] = field(default_factory=dict)
    """By service, for the cloud's front: refuse, lose_answer, throttle."""
    queue_faults: dict[str, float] = field(default_factory=dict)
    """duplicate, forget_delete."""
    knobs: dict[str, Any] = field(default_factory=dict)
    """For the cloud's ECS."""
    window: float = 4.0
    """Seconds for which a start is repeated; a token of the cloud lives twice as long."""

    def environment(self) -> dict[str, str]:
        waits = f"log_wait=0.2s&check_every=1s&token_window={self.window}s"
        network = "subnets=subnet-12345678&execution_role=ecs"
        return self.cloud.environment | {
            "BARBEQUE_BROKER": "sqs:?prefix=Drill-",
            "BARBEQUE_EXECUTOR": f"ecs:{CLUSTER}?{network}&{waits}",
            "BARBEQUE_LOGS": f"s3://{BUCKET}/logs",
            "BARBEQUE_JOB_URL": "http://127.0.0.1:3003",
        }

    def furnish(self, installation: str) -> None:
        cloud, events = self.cloud, f"barbeque-{installation}-task-events"
        cloud.client("ecs").create_cluster(clusterName=CLUSTER)
        cloud.client("s3").create_bucket(Bucket=BUCKET)
        cloud.client("logs").create_log_group(logGroupName=f"/barbeque/{installation}")
        cloud.client("sqs").create_queue(QueueName=events, Attributes={"VisibilityTimeout": "3"})
        queues = SqsQueues("Drill-", installation=installation)
        queues.ensure_queue("default")
        queues.close()
        knobs = {"runner": self.runner, "event_queue": events, "token_life": 2 * self.window}
        cloud.control("ecs", "configure", **knobs | self.knobs)
        cloud.control("sqs", "faults", **self.queue_faults)
        cloud.faults(**self.faults)

    def calm(self) -> None:
        self.cloud.faults()

    def starts(self) -> Counter[str]:
        tasks = self.cloud.control("ecs", "tasks")["tasks"]
        return Counter(task["startedBy"].rpartition("/")[2] for task in tasks)

    def leftovers(self, store: Store, parts: Parts) -> list[str]:
        return []
