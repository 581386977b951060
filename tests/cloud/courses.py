"""The course of a task: PROVISIONING, PENDING, RUNNING, DEPROVISIONING, STOPPED."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Protocol

from tests.cloud.knobs import Knobs
from tests.cloud.plans import Plan, choose, runnable
from tests.cloud.runners import Errand, Runner
from tests.cloud.service import AwsFault
from tests.cloud.tasks import (
    DEPROVISIONING,
    PENDING,
    RUNNING,
    STOPPED,
    Container,
    Task,
)

EXITED = ("EssentialContainerExited", "Essential container in task exited")
_NOT_STARTED = "TaskFailedToStart"
_PULL = ("CannotPull", "ResourceInitialization")


class Preparation(Protocol):
    """What happens in a thread between the placement of a task and its start."""

    def needed(self, plans: Sequence[Plan]) -> bool:
        """Tell whether there is anything to prepare."""
        ...

    def prepare(self, task: Task, plans: Sequence[Plan]) -> list[Errand]:
        """Return the errands with sinks and secrets; raises `AwsFault`. Called in a thread."""
        ...

    def finish(self, task: Task) -> None:
        """Be told, inside the loop, that the task has STOPPED."""
        ...


@dataclass(frozen=True, slots=True)
class Ground:
    """What all courses stand on."""

    knobs: Knobs
    dice: Random
    preparation: Preparation
    tell: Callable[[Task], None]
    """Called inside the loop after every change of a task."""


class Course:
    """Leads one task from its placement to its end; hears what its runner tells."""

    def __init__(self, task: Task, plans: list[Plan], runner: Runner, ground: Ground) -> None:
        self._task = task
        self._runner = runner
        self._ground = ground
        self._plans = runnable(plans) if runner.runs_all else [choose(plans)]
        self._containers = {each.name: each for each in task.containers}
        self._without = [  # the sidecars that this runner can't run
            each
            for each in task.containers
            if each.name not in {plan.errand.name for plan in self._plans}
        ]
        self._killed = False
        self._loop = asyncio.get_running_loop()

    def begin(self) -> None:
        """Set the task off."""
        self._ground.tell(self._task)
        self._loop.call_later(self._ground.knobs.provision_seconds, self._pend)

    def stop(self, code: str, reason: str) -> None:
        """Stop the containers kindly, then by force; nothing for a task that is stopping."""
        if self._is_stopping():
            return
        self._want_stop(code, reason)
        self._change(self._task.last_status)
        self._stop_containers()

    def fail_host(self, code: str, reason: str) -> None:
        """Let the host vanish with the task: no signal to heed, no exit code."""
        if self._task.last_status in (DEPROVISIONING, STOPPED):
            return
        self._want_stop(code, reason)
        self._killed = True
        for each in self._running():
            self._runner.stop(self._task.id, each.name, kill=True)

    def pulled(self, container: str, digest: str) -> None:
        self._containers[container].digest = digest
        self._task.mark("pullStoppedAt")

    def started(self, container: str, runtime_id: str) -> None:
        for each in (self._containers[container], *self._without):
            each.last_status, each.runtime_id = RUNNING, runtime_id
        if self._is_stopping():
            self._runner.stop(self._task.id, container, kill=True)
        elif all(each.last_status != PENDING for each in self._containers.values()):
            self._task.connectivity = "CONNECTED"
            self._task.mark("connectivityAt")
            self._task.mark("startedAt")
            self._change(RUNNING)

    def ended(self, container: str, exit_code: int, reason: str) -> None:
        ended = self._containers[container]
        ended.last_status, ended.over = STOPPED, True
        if not self._killed:
            ended.exit_code, ended.reason = exit_code, reason
        if all(each.over for each in self._containers.values() if each not in self._without):
            for each in self._without:
                each.last_status, each.over = STOPPED, True
                each.exit_code = None if self._killed else 0
        self._go_on_without(ended)

    def refused(self, container: str, reason: str) -> None:
        self._containers[container].reason = reason
        self._fail(reason if reason.startswith(_PULL) else "Task failed to start")

    def _pend(self) -> None:
        if self._is_stopping():
            self._deprovision()
            return
        self._task.mark("pullStartedAt")
        self._change(PENDING)
        knobs = self._ground.knobs
        if self._ground.dice.random() < knobs.failed_starts:
            self._fail(knobs.failed_start_reason)
        elif self._ground.preparation.needed(self._plans):
            self._loop.run_in_executor(None, self._prepare)
        else:
            self._launch([plan.errand for plan in self._plans])

    def _prepare(self) -> None:
        try:
            errands = self._ground.preparation.prepare(self._task, self._plans)
        except AwsFault as fault:
            self._loop.call_soon_threadsafe(self._fail, fault.message)
        else:
            self._loop.call_soon_threadsafe(self._launch, errands)

    def _launch(self, errands: list[Errand]) -> None:
        if self._is_stopping():
            self._give_up()
        else:
            self._runner.start(self._task.id, errands, self)

    def _fail(self, reason: str) -> None:
        """End a task that could not be started."""
        self._want_stop(_NOT_STARTED, reason)
        self._give_up()

    def _give_up(self) -> None:
        """Count as over what has not started; stop the rest."""
        for each in self._containers.values():
            if each.last_status == PENDING or each in self._without:
                each.last_status, each.over = STOPPED, True
        for each in self._running():
            self._runner.stop(self._task.id, each.name, kill=True)
        if not self._running():
            self._deprovision()

    def _go_on_without(self, ended: Container) -> None:
        over = all(each.over for each in self._containers.values())
        if ended.essential or over:
            self._want_stop(*EXITED)
            self._stop_containers()
        if over:
            self._deprovision()

    def _stop_containers(self) -> None:
        for plan in self._plans:
            name = plan.errand.name
            if self._containers[name].last_status == RUNNING:
                patience = plan.stop_timeout
                if patience is None:
                    patience = self._ground.knobs.stop_timeout
                self._runner.stop(self._task.id, name, kill=False)
                self._loop.call_later(patience, self._kill, name)

    def _kill(self, name: str) -> None:
        if not self._containers[name].over:
            self._runner.stop(self._task.id, name, kill=True)

    def _deprovision(self) -> None:
        if self._task.last_status in (DEPROVISIONING, STOPPED):
            return
        for each in self._containers.values():
            each.last_status, each.over = STOPPED, True
        if "startedAt" in self._task.times:
            self._task.mark("executionStoppedAt")
        self._change(DEPROVISIONING)
        self._loop.call_later(self._ground.knobs.deprovision_seconds, self._finish)

    def _finish(self) -> None:
        self._task.mark("stoppedAt")
        self._change(STOPPED)
        self._ground.preparation.finish(self._task)

    def _want_stop(self, code: str, reason: str) -> None:
        task = self._task
        if not self._is_stopping():
            task.desired_status, task.stop_code, task.stopped_reason = STOPPED, code, reason
            task.mark("stoppingAt")

    def _change(self, status: str) -> None:
        task = self._task
        task.version += 1
        task.last_status = status
        self._ground.tell(task)

    def _is_stopping(self) -> bool:
        return self._task.desired_status == STOPPED

    def _running(self) -> list[Container]:
        return [
            each
            for each in self._containers.values()
            if each.last_status == RUNNING and each not in self._without
        ]
