"""Looking for tasks: by their ARNs, or by who started them."""

from collections.abc import Collection, Iterator, Sequence
from typing import Any

from barbeque_py.aws import FAILURES, calling, code_of
from barbeque_py.ecs_settings import LOG_ROUTER
from barbeque_py.errors import ExecutorUnavailable

Json = dict[str, Any]

_BATCH = 100
"""Tasks in one call of DescribeTasks or ListTasks."""
_NO_CLUSTER = "ClusterNotFoundException"


class Tasks:
    """The tasks of one account and Region, as ECS tells of them; for an hour after their end.

    Every call raises `ExecutorUnavailable`. A cluster that is gone has no tasks.
    """

    def __init__(self, client: Any) -> None:
        self._client = client

    def described(self, cluster: str, arns: Sequence[str]) -> dict[str, Json]:
        """Return those of the tasks that ECS knows, by ARN."""
        found: dict[str, Json] = {}
        for first in range(0, len(arns), _BATCH):
            batch = list(arns[first : first + _BATCH])
            answer = self._ask("describe_tasks", cluster=cluster, tasks=batch)
            found.update({each["taskArn"]: each for each in answer.get("tasks", [])})
        return found

    def started_by(self, cluster: str, starter: str) -> list[Json]:
        """Return the tasks of this starter that are to run; ones that ended may be among them."""
        arns = self._list(cluster=cluster, startedBy=starter)
        return list(self.described(cluster, list(arns)).values())

    def ended_of(self, cluster: str, family: str, starters: Collection[str]) -> dict[str, Json]:
        """Return the ended tasks of these starters in the family, by starter."""
        found: dict[str, Json] = {}
        arns: list[str] = []
        for arn in self._list(cluster=cluster, family=family, desiredStatus="STOPPED"):
            arns.append(arn)
            if len(arns) == _BATCH:
                found |= self._of(cluster, arns, starters)
                arns = []
            if len(found) == len(starters):
                return found
        return found | self._of(cluster, arns, starters)

    def all_is_logged(self, cluster: str, arn: str) -> bool:
        """Tell whether the container that carries the task's log ended by itself, all written."""
        containers = self.described(cluster, [arn]).get(arn, {}).get("containers", [])
        return any(each["name"] == LOG_ROUTER and each.get("exitCode") == 0 for each in containers)

    def _of(self, cluster: str, arns: Sequence[str], starters: Collection[str]) -> dict[str, Json]:
        every = self.described(cluster, arns).values()
        return {each["startedBy"]: each for each in every if each.get("startedBy") in starters}

    def _list(self, **asked: Any) -> Iterator[str]:
        token: str | None = None
        while True:
            more = {} if token is None else {"nextToken": token}
            answer = self._ask("list_tasks", **asked, **more)
            yield from answer.get("taskArns", [])
            if (token := answer.get("nextToken")) is None:
                return

    def _ask(self, operation: str, **asked: Any) -> Json:
        with calling(f"looking for tasks in {asked['cluster']}", ExecutorUnavailable):
            try:
                answer: Json = getattr(self._client, operation)(**asked)
            except FAILURES as error:
                if code_of(error) != _NO_CLUSTER:
                    raise
                return {}
        return answer
