"""What ready executions would be launched as, as far as a claim knows."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from barbeque_py.apps import App, JobDefinition
from barbeque_py.errors import LaunchRefused
from barbeque_py.executor import Blueprint, Launch, Preparation, Quota
from barbeque_py.launches import blueprint_of
from barbeque_py.store import Tx, apps, attempts, limits
from barbeque_py.store.executions import Execution
from barbeque_py.store.ready import Ready

Answer = Preparation | LaunchRefused
Prepared = Mapping[str, Mapping[str, Answer]]
"""By app, then by job: what is ready for a launch, or why it can't be. An app comes as a whole."""

Prepare = Callable[[Blueprint], Answer | None]
"""Returns what is ready for launches of the blueprint; begins to prepare it where nothing is."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What an execution would be launched as; `answer` is None while it is not prepared."""

    app: App | None
    job: JobDefinition | None
    answer: Answer | None

    @property
    def place(self) -> str | None:
        """Return where it would run, if its preparation says so."""
        return self.answer.place if isinstance(self.answer, Preparation) else None

    @property
    def quotas(self) -> tuple[Quota, ...]:
        """Return the quotas from which its start would draw."""
        return self.answer.quotas if isinstance(self.answer, Preparation) else ()

    def size_of(self, launch: Launch) -> tuple[int, int]:
        """Return the CPU and MiB that the attempt takes up."""
        if isinstance(self.answer, Preparation):
            return self.answer.size_of(launch.cpu, launch.memory)
        return launch.cpu, launch.memory

    @property
    def size(self) -> str | None:
        """Name what a place may lack the capacity for, where places have no fixed size."""
        return size_of(self.job.cpu, self.job.memory) if self.job and self.quotas else None


class Plans:
    """What executions would be launched as: definitions, and what is prepared of them."""

    def __init__(self, tx: Tx, place: str, prepared: Prepared, prepare: Prepare) -> None:
        self._tx = tx
        self._place = place
        self._prepared = prepared
        self._prepare = prepare
        self._apps = {app.name: app for app in apps.all_apps(tx)}
        # By app and job, on the app's image of today; then by execution, on an earlier one.
        self._plans: dict[tuple[str, str], Plan] = {}
        self._own: dict[int, Plan] = {}
        self.unprepared = self._apps.keys() - prepared.keys()

    def look_up(self, found: Sequence[Ready]) -> None:
        """Learn what the executions would be launched as."""
        new = {(each.app, each.job) for each in found} - self._plans.keys()
        defined = apps.get_jobs(self._tx, new)
        for app, job in new:
            answer = self._prepared.get(app, {}).get(job)
            self._plans[app, job] = Plan(self._apps.get(app), defined.get((app, job)), answer)
        since = {each.id: each.image_from for each in found if each.attempts >= each.image_from}
        images = attempts.images_of(self._tx, since)
        self._own |= {
            each.id: self._on_earlier(self._plans[each.app, each.job], *images[each.id])
            for each in found
            if each.id in images
        }

    def _on_earlier(self, plan: Plan, image: str, revision: int | None) -> Plan:
        """Return the plan on the image that the execution's first attempt ran."""
        today = plan.answer.image if isinstance(plan.answer, Preparation) else None
        if plan.app is None or plan.job is None or image in (today, "") or plan.job.callback:
            return plan
        app = replace(plan.app, image=image, pinned=image, revision=revision)
        return replace(plan, app=app, answer=self._prepare(blueprint_of(app, plan.job)))

    def of(self, execution: Ready) -> Plan:
        """Return what the execution would be launched as; it was looked up."""
        return self._own.get(execution.id) or self._plans[execution.app, execution.job]

    def is_prepared(self, execution: Ready) -> bool:
        """Tell whether it can be claimed: one that is defined no more can, to be refused."""
        plan = self.of(execution)
        return plan.answer is not None or plan.app is None or plan.job is None

    def scopes(self, execution: Ready) -> tuple[str, ...]:
        """Return the limits under which the execution's attempt would count."""
        plan = self.of(execution)
        return scopes_of(execution, plan.place or self._place, size=plan.size)


def size_of(cpu: int, memory: int) -> str:
    """Name the size of a container, as the limits of capacity do."""
    return f"{cpu}x{memory}"


def quotas_of(prepared: Prepared) -> set[Quota]:
    """Return every quota from which starts of these draw."""
    return {
        quota
        for of_app in prepared.values()
        for answer in of_app.values()
        if isinstance(answer, Preparation)
        for quota in answer.quotas
    }


def scopes_of(
    execution: Execution | Ready, place: str, *, size: str | None = None
) -> tuple[str, ...]:
    """Return the limits under which the execution's attempt counts at this place."""
    key = execution.options.get("concurrency_key")
    return limits.scope_names(
        execution.app, execution.job, execution.queue, place, key=key, size=size
    )
