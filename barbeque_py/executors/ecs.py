"""Executor on Amazon ECS: one task per attempt, found again by the token that started it."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property, partial
from threading import Event
from typing import Any, NoReturn

from barbeque_py.aws import FAILURES, calling, code_of, message_of, open_client
from barbeque_py.cloudwatch import CloudWatch
from barbeque_py.ecs_url import EcsUrl
from barbeque_py.errors import ExecutorUnavailable, LaunchRefused, NoSuchLog, Throttled
from barbeque_py.executions import AttemptState
from barbeque_py.executor import Blueprint, Launch, News, Preparation, Sighting, Standing, Traits
from barbeque_py.executors.ecs_answer import conflicting, meaning, names_inactive, no_capacity
from barbeque_py.executors.ecs_definition import (
    Bucket,
    beside,
    define,
    family_of,
    is_fargate,
    logs_of,
    settings_of,
)
from barbeque_py.executors.ecs_events import TaskEvents
from barbeque_py.executors.ecs_fate import STOPPED, see
from barbeque_py.executors.ecs_image import Images
from barbeque_py.executors.ecs_place import Place, read_place
from barbeque_py.executors.ecs_registration import Registrar
from barbeque_py.executors.ecs_request import Maker, details_of, quotas_of
from barbeque_py.executors.ecs_tasks import Tasks
from barbeque_py.firelens import Firelens, folder_of, tag_of
from barbeque_py.ids import AttemptId
from barbeque_py.logs import LogSource
from barbeque_py.registry import Registry
from barbeque_py.store import Store, attempts
from barbeque_py.store.attempts import Attempt
from barbeque_py.task_log import begin_log_at, is_by_firelens, log_of_task
from barbeque_py.tickets import JobUrls

Json = dict[str, Any]

_POLL_PATIENCE = 30.0
"""Seconds to wait for an answer to a long poll of twenty."""
_MOST_UNSURE = 10_000


@dataclass(frozen=True, slots=True)
class Clients:
    """The AWS clients of an executor."""

    starts: Any
    """ECS for RunTask alone: it tries once, as only our own rows know what a lost answer means."""
    ecs: Any
    sqs: Any


def open_clients(region: str | None) -> Clients:
    """Open the clients; raises `ConfigurationError` when there is no Region."""
    return Clients(
        starts=open_client("ecs", region=region, connections=50, tries=1),
        ecs=open_client("ecs", region=region, tries=2),
        sqs=open_client("sqs", region=region, connections=2, patience=_POLL_PATIENCE, tries=2),
    )


class EcsExecutor:
    """Runs attempts as ECS tasks in clusters of one account and Region; safe for threads.

    A start is repeated under its token, which ECS knows for an hour after the task's end; handles,
    logs and what a stop is for are read from the attempts' rows.
    """

    def __init__(  # noqa: PLR0913 - what a fleet has
        self,
        store: Store,
        url: EcsUrl,
        *,
        installation: str,
        urls: JobUrls | None,
        bucket: Bucket | None = None,
        registry: Registry | None = None,
        clients: Clients | None = None,
    ) -> None:
        """`urls` are where jobs reach the API's routes for them.

        `bucket` is the log store where that is S3; without it no app can have `logs: firelens`.
        `registry` knows what tags mean; without it tasks run what ECS pulls under them.
        """
        self._store = store
        self._url = url
        self._installation = installation
        self._clients = clients or open_clients(url.region)
        self._maker = Maker(installation=installation, urls=urls)
        self._registrar = Registrar(store, self._clients.ecs)
        self._tasks = Tasks(self._clients.ecs)
        self._bucket = bucket
        self._images = Images(registry) if registry is not None else None
        self._logs = CloudWatch()
        self._firelens = Firelens(bucket.store, installation, self._logs) if bucket else None
        self._unsure: dict[AttemptId, None] = {}
        self.traits = Traits(
            attended=False,
            repeat_window=url.token_window,
            log_waits=(url.log_wait, 2 * url.log_wait),
            check_every=url.check_every,
        )

    def close(self) -> None:
        """Close the connections."""
        for client in (self._clients.starts, self._clients.ecs, self._clients.sqs, self._logs):
            client.close()

    def place(self) -> str:
        """Return the ARN of the URL's cluster."""
        return str(self._home)

    def serves(self, place: str) -> bool:
        """Tell whether it is a cluster of this account and Region."""
        cluster = read_place(place)
        return cluster is not None and cluster.home == self._home.home

    def former(self, place: str) -> bool:  # noqa: ARG002 - a cluster keeps its ARN for ever
        """Return False: a cluster keeps its ARN."""
        return False

    def slots(self) -> int | None:
        """Return the limit in the URL, None without one."""
        return self._url.slots

    def prepare(self, blueprint: Blueprint) -> Preparation:
        """Pin the image and register its task definition, unless some worker did before."""
        if self._images is not None:
            blueprint = replace(blueprint, image=self._images.pin(blueprint.image))
        home, settings = self._home, settings_of(self._url, blueprint)
        try:
            logs = logs_of(
                settings,
                blueprint.app,
                installation=self._installation,
                region=home.region,
                bucket=self._bucket,
            )
            place = home.beside(settings["cluster"])
            details = details_of(settings, place)
            definition = define(
                blueprint, settings, installation=self._installation, home=home.home, logs=logs
            )
        except ValueError as error:
            raise LaunchRefused(f"{blueprint.app}: {error}", blame_definition=True) from error
        arn = self._registrar.arn_of(definition, home.home)
        run = details["run"] | {"taskDefinition": arn}
        return Preparation(
            image=blueprint.image,
            place=str(place),
            log_at=begin_log_at(
                logs.region, logs.group, logs.prefix, by_firelens=logs.bucket is not None
            ),
            details=details | {"run": run, "content": definition.content},
            quotas=quotas_of(settings, place, self._url.quota),
            beside=beside(settings),
            fargate=is_fargate(settings),
        )

    def start(self, launch: Launch, message: str) -> Sighting:  # noqa: ARG002 - in the environment
        """Call RunTask under the launch's token."""
        request = self._maker.make(launch)
        try:
            answer = self._clients.starts.run_task(**request)
        except FAILURES as error:
            sighting = self._after(launch, error)
        else:
            sighting = self._read(launch, answer)
        self._unsure.pop(launch.attempt, None)
        return sighting

    def sightings(self, attempts: Sequence[AttemptId]) -> dict[AttemptId, Sighting]:
        """Describe the tasks whose ARNs are in the rows, and look for those of the others."""
        if not attempts:
            return {}
        rows, now = self._rows(attempts)
        seen = dict.fromkeys(attempts, Sighting(Standing.ABSENT))
        for cluster, group in _by_place(rows):
            with_handle = [row for row in group if row.handle]
            tasks = self._tasks.described(cluster, [str(row.handle) for row in with_handle])
            for row in with_handle:
                task = tasks.get(str(row.handle))
                seen[row.id] = self._missing(row, now) if task is None else see(task)
            seen |= self._search(cluster, [row for row in group if not row.handle])
        return seen

    def stop(self, attempt: AttemptId, *, kill: bool) -> None:  # noqa: ARG002 - see below
        """Stop the task; ECS itself kills it when the grace in its definition is over."""
        rows, _ = self._rows([attempt])
        for row in rows:
            asked = f"barbeque: {row.stop_reason or 'asked to stop'}"
            handles = [row.handle] if row.handle else self._handles(row)
            for handle in handles:
                with calling(f"stopping the task {handle}", ExecutorUnavailable):
                    try:
                        self._clients.ecs.stop_task(cluster=row.place, task=handle, reason=asked)
                    except FAILURES as error:
                        if not _says_no_task(error):
                            raise

    def events(self, stop: Event) -> Iterator[News]:
        """Yield what EventBridge tells through the queue of the URL."""
        queue = self._url.events or f"barbeque-{self._installation}-task-events"
        return TaskEvents(self._clients.sqs, queue, self._maker.ours).listen(stop)

    def log(self, attempt: AttemptId) -> LogSource:
        """Return the log as CloudWatch keeps it, or as FireLens has put it into S3."""
        rows, _ = self._rows([attempt])
        for row in rows:
            if not row.handle or not row.log_at:
                break
            where = log_of_task(row.log_at, row.handle)
            if self._firelens is not None and is_by_firelens(where):
                trusted = self._tasks.all_is_logged(row.place, row.handle)
                return self._firelens.open_log(where, trusted=trusted)
            return self._logs.open_log(where, has_ended=partial(self._has_ended, attempt))
        return _NoLog(attempt)

    def remove(self, attempt: AttemptId) -> None:
        """Remove what FireLens has put for it; ECS forgets a task an hour after its end."""
        if self._bucket is None:
            return
        rows, _ = self._rows([attempt])
        for row in rows:
            if row.handle and row.log_at and is_by_firelens(row.log_at):
                folder = f"{folder_of('', self._installation)}{tag_of(row.handle)}/"
                self._bucket.store.remove(self._bucket.store.names(folder))

    def remains(self) -> list[AttemptId]:
        """Return nothing: what a task leaves goes by itself."""
        return []

    @cached_property
    def _home(self) -> Place:
        cluster = self._url.cluster
        with calling(f"looking for the ECS cluster {cluster}", ExecutorUnavailable):
            answer = self._clients.ecs.describe_clusters(clusters=[cluster])
        for found in answer.get("clusters", []):
            place = read_place(found["clusterArn"])
            if found.get("status") == "ACTIVE" and place is not None:
                return place
        raise ExecutorUnavailable(
            f"there is no ECS cluster {cluster}: make it, or name another one in BARBEQUE_EXECUTOR"
        )

    def _rows(self, ids: Sequence[AttemptId]) -> tuple[list[Attempt], datetime]:
        return self._store.read(lambda tx: (list(attempts.known(tx, ids).values()), tx.now))

    def _read(self, launch: Launch, answer: Json) -> Sighting:
        for task in answer.get("tasks") or []:
            if task["lastStatus"] != STOPPED:
                return see(task)
            arn = task["taskArn"]  # a repeat tells no more of a task that has ended
            found = self._tasks.described(launch.place, [arn])
            return see(found[arn]) if arn in found else Sighting(Standing.RUNNING, arn)
        if answer.get("failures"):
            self._unsure.pop(launch.attempt, None)
            raise no_capacity(answer["failures"])
        raise ExecutorUnavailable("ECS answered with neither a task nor a failure")

    def _after(self, launch: Launch, error: BaseException) -> Sighting:
        """Return the attempt's task after a failed call, or raise what the failure means."""
        used = conflicting(error)
        if used is not None:
            return self._adopt(launch, used)
        fault = meaning(error)
        if isinstance(fault, ExecutorUnavailable):
            if not isinstance(fault, Throttled):
                self._note_unsure(launch.attempt)
            raise fault from error
        if (found := self._earlier(launch, fault)) is not None:
            return found
        self._unsure.pop(launch.attempt, None)
        if names_inactive(error):
            self._forget_definition(launch, error)
        raise fault from error

    def _adopt(self, launch: Launch, arns: Sequence[str]) -> Sighting:
        """Take the task that our token has started, though with another request."""
        for task in self._tasks.described(launch.place, arns).values():
            if task.get("startedBy") == self._maker.started_by(launch.attempt):
                return see(task)
        self._note_unsure(launch.attempt)
        raise ExecutorUnavailable(
            f"the token of {launch.attempt} was used for another request, whose task is not found"
        )

    def _earlier(self, launch: Launch, fault: Exception) -> Sighting | None:
        """Find what an earlier call has started, whose answer was lost, before "no" is believed.

        Raises `ExecutorUnavailable` while that can't be known yet.
        """
        rows, now = self._rows([launch.attempt])
        row = next(iter(rows), None)
        if row is None or (row.epoch <= 1 and launch.attempt not in self._unsure):
            return None
        found = self._search(launch.place, [row])[launch.attempt]
        if found.standing is not Standing.ABSENT:
            return found
        if now - (row.first_called_at or row.claimed_at) < self._url.token_window / 10:
            raise ExecutorUnavailable(
                f"{fault} - but an earlier call may have started a task, which is looked for"
            ) from fault
        return None

    def _forget_definition(self, launch: Launch, error: BaseException) -> NoReturn:
        arn = launch.details["run"]["taskDefinition"]
        self._registrar.forget(launch.details["content"], arn)
        raise LaunchRefused(
            f"the task definition {arn} was deregistered; it is registered anew",
            blame_definition=False,
        ) from error

    def _note_unsure(self, attempt: AttemptId) -> None:
        self._unsure[attempt] = None
        if len(self._unsure) > _MOST_UNSURE:
            self._unsure.pop(next(iter(self._unsure)), None)

    def _missing(self, row: Attempt, now: datetime) -> Sighting:
        """Judge a task that ECS does not know: not yet, or no more."""
        age = now - (row.first_called_at or row.claimed_at)
        if age < self._url.token_window * 6 / 5:  # an hour
            return Sighting(Standing.RUNNING, str(row.handle))
        return Sighting(Standing.ABSENT)

    def _search(self, cluster: str, rows: Sequence[Attempt]) -> dict[AttemptId, Sighting]:
        """Look for tasks by who started them: among those that run, then among the ended."""
        seen: dict[AttemptId, Sighting] = {}
        left: dict[str, dict[str, AttemptId]] = defaultdict(dict)
        for row in rows:
            starter = self._maker.started_by(row.id)
            tasks = self._tasks.started_by(cluster, starter)
            seen[row.id] = see(tasks[0]) if tasks else Sighting(Standing.ABSENT)
            if not tasks and row.request is not None:
                family = family_of(self._installation, Launch.from_json(row.request).app)
                left[family][starter] = row.id
        for family, starters in left.items():
            ended = self._tasks.ended_of(cluster, family, starters)
            seen |= {starters[starter]: see(task) for starter, task in ended.items()}
        return seen

    def _handles(self, row: Attempt) -> list[str]:
        tasks = self._tasks.started_by(row.place, self._maker.started_by(row.id))
        return [each["taskArn"] for each in tasks]

    def _has_ended(self, attempt: AttemptId) -> bool:
        rows, _ = self._rows([attempt])
        if not rows or rows[0].state is AttemptState.ENDED:
            return True
        return self.sightings([attempt])[attempt].standing in (Standing.ENDED, Standing.ABSENT)


class _NoLog:
    """The log of an attempt that no task is known of."""

    def __init__(self, attempt: AttemptId) -> None:
        self._attempt = attempt

    def batches(self, *, follow: bool) -> Iterator[list[bytes]]:  # noqa: ARG002 - the seam's
        raise NoSuchLog(f"no task is known of {self._attempt}")


def _by_place(rows: Iterable[Attempt]) -> Collection[tuple[str, list[Attempt]]]:
    found: dict[str, list[Attempt]] = defaultdict(list)
    for row in rows:
        found[row.place].append(row)
    return found.items()


def _says_no_task(error: BaseException) -> bool:
    code = code_of(error)
    unknown = code == "InvalidParameterException" and "not found" in message_of(error).lower()
    return unknown or code == "ClusterNotFoundException"
