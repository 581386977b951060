"""All tasks there ever were, and which of them the API still sees."""

from typing import Final

from tests.cloud.checks import refuse
from tests.cloud.courses import Course
from tests.cloud.knobs import Knobs
from tests.cloud.service import Json
from tests.cloud.tasks import Task

_MOST: Final = 100


class Yard:
    """The tasks by their ARN, oldest first."""

    def __init__(self, knobs: Knobs) -> None:
        self._knobs = knobs
        self._courses: dict[str, tuple[Task, Course]] = {}

    def add(self, task: Task, course: Course) -> None:
        """Take in a new task."""
        self._courses[task.arn] = task, course

    def forget(self) -> None:
        """Forget all tasks; those that run end without being seen."""
        for task in self.all():
            task.forgotten = True
        self._courses.clear()

    def all(self) -> list[Task]:
        """Return every task ever, oldest first."""
        return [task for task, _ in self._courses.values()]

    def by_arn(self, arn: str) -> Task | None:
        """Return a task by its whole ARN."""
        found = self._courses.get(arn)
        return found[0] if found else None

    def course(self, task: Task) -> Course:
        """Return what leads the task."""
        return self._courses[task.arn][1]

    def find(self, cluster: str, reference: str) -> Task | None:
        """Return the task with this ARN or id if the API sees it in the cluster."""
        arn = reference
        if not reference.startswith("arn:"):
            arn = f"{cluster.replace(':cluster/', ':task/')}/{reference}"
        task = self.by_arn(arn)
        return task if task and self._is_seen(task, cluster) else None

    def describe(self, cluster: str, request: Json) -> Json:
        """Answer DescribeTasks."""
        references = request.get("tasks", [])
        if not references:
            refuse("Tasks cannot be empty.")
        if len(references) > _MOST:
            refuse(f"Tasks cannot be longer than {_MOST}.")
        found = [(each, self.find(cluster, each)) for each in references]
        tags = "TAGS" in request.get("include", [])
        root = cluster.replace(":cluster/", ":task/")
        return {
            "tasks": [task.show(tags=tags) for _, task in found if task],
            "failures": [
                {"arn": each if each.startswith("arn:") else f"{root}/{each}", "reason": "MISSING"}
                for each, task in found
                if not task
            ],
        }

    def list(self, cluster: str, request: Json) -> Json:
        """Answer ListTasks."""
        _check_filters(request)
        wanted = [
            task.arn
            for task in self.all()
            if self._is_seen(task, cluster) and _matches(task, request)
        ]
        start = int(request.get("nextToken") or 0)
        end = start + min(request.get("maxResults") or _MOST, _MOST)
        answer: Json = {"taskArns": wanted[start:end]}
        if end < len(wanted):
            answer["nextToken"] = str(end)
        return answer

    def _is_seen(self, task: Task, cluster: str) -> bool:
        age = task.age("stoppedAt")
        return (
            task.cluster_arn == cluster
            and (age is None or age <= self._knobs.stopped_life)
            and (not self._knobs.appear_seconds or self._has_appeared(task))
        )

    def _has_appeared(self, task: Task) -> bool:
        return task.seconds_old() >= self._knobs.appear_seconds


def _check_filters(request: Json) -> None:
    others = ("containerInstance", "family", "serviceName", "launchType", "daemonName")
    if request.get("startedBy") and (
        any(request.get(each) for each in others) or request.get("desiredStatus") == "STOPPED"
    ):
        refuse("The startedBy filter must be the only filter that you use.")
    if not 1 <= request.get("maxResults", 1) <= _MOST:
        refuse(f"maxResults must be between 1 and {_MOST}.")
    if request.get("desiredStatus", "RUNNING") not in ("RUNNING", "STOPPED", "PENDING"):
        refuse("desiredStatus must be RUNNING or STOPPED.")


def _matches(task: Task, request: Json) -> bool:
    if request.get("serviceName") or request.get("containerInstance"):
        return False
    wanted = (
        (request.get("desiredStatus", "RUNNING"), task.desired_status),
        (request.get("startedBy", task.started_by), task.started_by),
        (request.get("family", task.family), task.family),
        (request.get("launchType", task.launch_type), task.launch_type),
    )
    return all(asked == found for asked, found in wanted)
