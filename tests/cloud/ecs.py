"""ECS, as far as tasks go: placed, run by a runner, watched, stopped; moto keeps definitions."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from random import Random
from typing import Final

from tests.cloud.buckets import OPERATIONS, Buckets
from tests.cloud.caller import ACCOUNT, REGION
from tests.cloud.checks import check_fit, check_request, choose_place, size
from tests.cloud.courses import Course, Ground
from tests.cloud.definitions import Definitions
from tests.cloud.knobs import Knobs
from tests.cloud.moto_calls import Moto
from tests.cloud.plans import Plan, make_plans
from tests.cloud.preparations import Preparations
from tests.cloud.runner_docker import DockerRunner
from tests.cloud.runner_fake import FakeRunner
from tests.cloud.runner_process import ProcessRunner
from tests.cloud.runners import Runner
from tests.cloud.service import AwsFault, Json
from tests.cloud.shortages import Shortages
from tests.cloud.task_events import SendEvent, TaskEvents
from tests.cloud.tasks import Container, Task
from tests.cloud.tokens import Tokens
from tests.cloud.wishes import Wishes
from tests.cloud.yard import Yard

_THREADS: Final = 16


class Ecs:
    """A `Service` that runs tasks really; everything but tasks is moto's.

    Supported of a task: overrides, secrets, env files, awslogs, FireLens (see `firelens`); with
    docker also several containers, dependsOn, volumes, ulimits, linuxParameters. Not: health checks
    (HEALTHY is START), ports, services, container instances (EC2 has room for everything).
    """

    def __init__(self, moto_endpoint: str, send_event: SendEvent, *, seed: int) -> None:
        self.knobs = Knobs()
        self._dice = Random(seed)
        self._pool = ThreadPoolExecutor(_THREADS)
        moto = Moto(moto_endpoint)
        self._definitions = Definitions(moto, self.knobs, self._pool)
        self._buckets = Buckets(self.knobs)
        self._tokens = Tokens(self.knobs)
        self._shortages = Shortages(self.knobs, self._dice)
        self._events = TaskEvents(self.knobs, send_event, Random(seed))
        self._yard = Yard(self.knobs)
        self._runners: dict[str, Runner] = {}
        preparations = Preparations(moto, self.knobs, Random(seed))
        self._ground = Ground(self.knobs, Random(seed), preparations, self._events.tell)
        self._wishes = Wishes(self.knobs, self._yard, self._shortages, self._tokens)
        self._own: dict[str, Callable[[Json], Awaitable[Json]]] = {
            "RunTask": self._run_task,
            "DescribeTasks": self._describe_tasks,
            "ListTasks": self._list_tasks,
            "StopTask": self._stop_task,
            "TagResource": self._tag,
            "ListTagsForResource": self._list_tags,
            "RegisterTaskDefinition": self._definitions.register,
        }

    async def answer(self, operation: str, request: Json) -> Json:
        """Answer an operation of the API; raises `AwsFault`."""
        if bucket := OPERATIONS.get(operation):
            self._buckets.take(bucket)
        if own := self._own.get(operation):
            return await own(request)
        return await self._definitions.forward(operation, request)

    async def control(self, verb: str, request: Json) -> Json:
        """Fulfil a test's wish: see `Wishes`."""
        return self._wishes.fulfil(verb, request)

    async def close(self) -> None:
        """Kill what runs and wait for it."""
        for runner in self._runners.values():
            await asyncio.to_thread(runner.close)
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _run_task(self, request: Json) -> Json:
        self._shortages.check()
        check_request(request)
        cluster = await self._definitions.cluster(request.get("cluster") or "default")
        arn: str = cluster["clusterArn"]
        if answer := self._tokens.repeat(arn, request):
            return answer
        definition = await self._definitions.definition(request.get("taskDefinition", ""))
        if answer := self._tokens.repeat(arn, request):  # one that came while moto was asked
            return answer
        launch_type, provider = choose_place(request, cluster, self._dice)
        check_fit(request, definition, launch_type)
        self._take_launches(request, launch_type, provider)
        tasks, failures = self._place(request, cluster, definition, (launch_type, provider))
        self._tokens.keep(arn, request, tasks, failures)
        return {"tasks": [task.show(tags=True) for task in tasks], "failures": failures}

    def _take_launches(self, request: Json, launch_type: str, provider: str) -> None:
        if launch_type == "FARGATE":
            self._buckets.take("fargate calls")
            kind = "spot launches" if provider == "FARGATE_SPOT" else "fargate launches"
            self._buckets.take(kind, request.get("count", 1))

    def _place(
        self, request: Json, cluster: Json, definition: Json, place: tuple[str, str]
    ) -> tuple[list[Task], list[Json]]:
        """Start as many tasks as there is room for."""
        cpu, memory = size(request, definition)
        tasks, failures = [], []
        for _ in range(request.get("count", 1)):
            if failure := self._shortages.refuse(cpu, memory, place):
                failures.append(failure)
                continue
            plans = make_plans(definition, request.get("overrides", {}), cpu, memory)
            task = self._make(request, cluster, definition, place, (cpu, memory), plans)
            course = Course(task, plans, self._runner(), self._ground)
            self._yard.add(task, course)
            course.begin()
            tasks.append(task)
        return tasks, failures

    def _make(
        self,
        request: Json,
        cluster: Json,
        definition: Json,
        place: tuple[str, str],
        measures: tuple[int, int],
        plans: list[Plan],
    ) -> Task:
        identity, name = uuid.uuid4().hex, cluster["clusterName"]
        root = f"arn:aws:ecs:{REGION.get()}:{ACCOUNT}"
        launch_type, provider = place
        tags = definition["tags"] if request.get("propagateTags") == "TASK_DEFINITION" else []
        platform = request.get("platformVersion", "LATEST").replace("LATEST", "1.4.0")
        return Task(
            arn=f"{root}:task/{name}/{identity}",
            region=REGION.get(),
            cluster_arn=cluster["clusterArn"],
            definition_arn=definition["taskDefinitionArn"],
            family=definition["family"],
            group=request.get("group") or f"family:{definition['family']}",
            launch_type=launch_type,
            provider=provider,
            platform=platform if launch_type == "FARGATE" else "",
            cpu=str(measures[0]),
            memory=str(measures[1]),
            started_by=request.get("startedBy", ""),
            client_token=request.get("clientToken", ""),
            overrides=request.get("overrides", {}),
            network=request.get("networkConfiguration", {}),
            execute_command=request.get("enableExecuteCommand", False),
            tags=[*tags, *request.get("tags", [])],
            containers=[
                Container(
                    arn=f"{root}:container/{name}/{identity}/{uuid.uuid4()}",
                    name=plan.errand.name,
                    image=plan.errand.image,
                    essential=plan.errand.essential,
                    cpu=plan.errand.cpu,
                    memory=0 if plan.errand.memory == measures[1] else plan.errand.memory,
                )
                for plan in plans
            ],
        )

    def _runner(self) -> Runner:
        name = self.knobs.runner
        if name not in self._runners:
            makers: dict[str, Callable[[], Runner]] = {
                "docker": lambda: DockerRunner(self.knobs),
                "fake": FakeRunner,
                "process": ProcessRunner,
            }
            if name not in makers:
                raise AwsFault("InvalidParameterException", f"There is no runner {name}")
            self._runners[name] = makers[name]()
        return self._runners[name]

    async def _describe_tasks(self, request: Json) -> Json:
        cluster = await self._definitions.cluster(request.get("cluster") or "default")
        return self._yard.describe(cluster["clusterArn"], request)

    async def _list_tasks(self, request: Json) -> Json:
        cluster = await self._definitions.cluster(request.get("cluster") or "default")
        return self._yard.list(cluster["clusterArn"], request)

    async def _stop_task(self, request: Json) -> Json:
        cluster = await self._definitions.cluster(request.get("cluster") or "default")
        task = self._yard.find(cluster["clusterArn"], request.get("task", ""))
        if task is None:
            raise AwsFault("InvalidParameterException", "The referenced task was not found.")
        reason = request.get("reason") or "Task stopped by user"
        self._yard.course(task).stop("UserInitiated", reason)
        return {"task": task.show()}

    async def _tag(self, request: Json) -> Json:
        if (task := self._yard.by_arn(request.get("resourceArn", ""))) is None:
            return await self._definitions.forward("TagResource", request)
        fresh = {each["key"]: each for each in [*task.tags, *request.get("tags", [])]}
        task.tags = list(fresh.values())
        return {}

    async def _list_tags(self, request: Json) -> Json:
        if (task := self._yard.by_arn(request.get("resourceArn", ""))) is None:
            return await self._definitions.forward("ListTagsForResource", request)
        return {"tags": task.tags}
