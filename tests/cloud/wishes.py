"""What a test may ask of the ECS simulator beside AWS's API: its control verbs."""

from collections import Counter

from tests.cloud.knobs import Knobs
from tests.cloud.service import AwsFault, Json
from tests.cloud.shortages import Shortages
from tests.cloud.tasks import Task
from tests.cloud.tokens import Tokens
from tests.cloud.yard import Yard


class Wishes:
    """The verbs.

    configure {knob: value}: turn knobs, see `Knobs`; answers with all of them.
    tasks {startedBy?}: every task ever with startedBy, clientToken, exit codes, times.
    counts {}: how many tasks there were, by status, and how many for one startedBy at most.
    interrupt {task | startedBy}: take Spot capacity away. fail_host {task | startedBy, code?,
    reason?}: let the host die, without exit codes. reset {}: so all hosts die, and every task and
    token is forgotten; the knobs stay as they are.
    """

    def __init__(self, knobs: Knobs, yard: Yard, shortages: Shortages, tokens: Tokens) -> None:
        self._knobs = knobs
        self._yard = yard
        self._shortages = shortages
        self._tokens = tokens

    def fulfil(self, verb: str, request: Json) -> Json:
        """Carry a verb out; raises `AwsFault` for one that is not there."""
        verbs = {
            "configure": self._configure,
            "tasks": self._tasks,
            "counts": self._counts,
            "interrupt": self._interrupt,
            "fail_host": self._fail_host,
            "reset": self._reset,
        }
        if verb not in verbs:
            raise AwsFault("InvalidParameterException", f"There is no verb {verb}")
        return verbs[verb](request)

    def _configure(self, request: Json) -> Json:
        self._knobs.turn(request)
        if "no_capacity_for" in request:
            self._shortages.close_sizes(request["no_capacity_for"])
        return self._knobs.show()

    def _tasks(self, request: Json) -> Json:
        wanted = request.get("startedBy")
        return {
            "tasks": [
                task.account()
                for task in self._yard.all()
                if wanted is None or task.started_by == wanted
            ]
        }

    def _counts(self, request: Json) -> Json:
        tasks = self._yard.all()
        per_start = Counter(task.started_by for task in tasks if task.started_by)
        return {
            "tasks": len(tasks),
            "by_status": Counter(task.last_status for task in tasks),
            "most_for_one_startedBy": max(per_start.values(), default=0),
        }

    def _interrupt(self, request: Json) -> Json:
        tasks = self._meant(request)
        for task in tasks:
            self._yard.course(task).stop(
                self._knobs.interrupt_code, "Your Spot Task was interrupted."
            )
        return {"tasks": [task.arn for task in tasks]}

    def _fail_host(self, request: Json) -> Json:
        tasks = self._meant(request)
        code = request.get("code", "InfrastructureHealth")
        reason = request.get("reason", "The task was stopped due to an infrastructure issue.")
        for task in tasks:
            self._yard.course(task).fail_host(code, reason)
        return {"tasks": [task.arn for task in tasks]}

    def _reset(self, request: Json) -> Json:
        for task in self._yard.all():
            self._yard.course(task).fail_host("InfrastructureHealth", "The test is over.")
        self._yard.forget()
        self._tokens.forget()
        return {}

    def _meant(self, request: Json) -> list[Task]:
        return [
            task
            for task in self._yard.all()
            if request.get("task") in (task.arn, task.id)
            or (request.get("startedBy") and request["startedBy"] == task.started_by)
        ]
