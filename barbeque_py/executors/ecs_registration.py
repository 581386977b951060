"""Registers task definitions, each content once for all workers, and remembers their ARNs."""

import random
import threading
import uuid
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from barbeque_py import clock
from barbeque_py.aws import FAILURES, explain, is_throttle
from barbeque_py.errors import ExecutorUnavailable, LaunchRefused
from barbeque_py.executors.ecs_answer import is_refusal
from barbeque_py.executors.ecs_definition import Definition
from barbeque_py.store import Store, task_definitions

_LEASE = timedelta(seconds=30)
"""How long a worker has for one registration: longer than its calls may take."""
_KNOWN_FOR = 600.0
"""Seconds for which an ARN is not looked up again."""
_REFUSED_FOR = 10.0
"""Seconds for which a refusal is not asked for again: ECS registers one a second."""
_MOST_KNOWN = 10_000
_BACKOFF = (1.0, 5.0)
"""Seconds after a throttle until anybody may register the same again."""


@dataclass(frozen=True, slots=True)
class _Known:
    answer: str | LaunchRefused
    until: float


class Registrar:
    """Knows which ARN a task definition has; safe for threads."""

    def __init__(self, store: Store, client: Any) -> None:
        self._store = store
        self._client = client
        self._known: dict[str, _Known] = {}

    def arn_of(self, definition: Definition, home: str) -> str:
        """Return the ARN, registering the definition when nobody has; `home` is where.

        Raises `LaunchRefused` in ECS's words, and `ExecutorUnavailable` while another worker
        registers it.
        """
        known = self._known.get(definition.content)
        if known is None or known.until < clock.monotonic():
            return self._look_up(definition, home)
        if isinstance(known.answer, LaunchRefused):
            raise LaunchRefused(known.answer.reason, blame_definition=True)
        return known.answer

    def forget(self, content: str, arn: str) -> None:
        """Forget an ARN that ECS knows no more, here and for all workers."""
        self._known.pop(content, None)
        self._store.write(lambda tx: task_definitions.forget(tx, content, arn))

    def _look_up(self, definition: Definition, home: str) -> str:
        content = definition.content
        arn = self._store.read(lambda tx: task_definitions.find(tx, content))
        if arn is None:
            arn = self._claim(definition, home)
        self._remember(content, arn, _KNOWN_FOR)
        return arn

    def _claim(self, definition: Definition, home: str) -> str:
        owner = f"{uuid.uuid4().hex}/{threading.get_native_id()}"
        claimed = self._store.write(
            lambda tx: task_definitions.claim(
                tx,
                definition.content,
                place=home,
                family=definition.family,
                owner=owner,
                lease=_LEASE,
            )
        )
        if claimed.arn is not None:
            return claimed.arn
        if not claimed.ours:
            raise ExecutorUnavailable(
                f"the task definition {definition.family} is being registered; ask again"
            )
        return self._register(definition, owner)

    def _register(self, definition: Definition, owner: str) -> str:
        content = definition.content
        try:
            answer = self._client.register_task_definition(**definition.request)
        except FAILURES as error:
            throttled = is_throttle(error)
            wait = timedelta(seconds=random.uniform(*_BACKOFF) if throttled else 0)  # noqa: S311 - not a secret
            self._store.write(lambda tx: task_definitions.put_off(tx, content, owner, wait))
            raise self._refusal(definition, error) from error
        arn = str(answer["taskDefinition"]["taskDefinitionArn"])
        return self._store.write(lambda tx: task_definitions.record(tx, content, arn))

    def _refusal(self, definition: Definition, error: BaseException) -> Exception:
        sentence = f"registering the task definition {definition.family}: {explain(error)}"
        if is_throttle(error) or not is_refusal(error):
            return ExecutorUnavailable(sentence)
        refused = LaunchRefused(
            f"ECS refused {sentence} - check the app's ecs settings, and that the worker's role "
            "may register task definitions and pass their roles",
            blame_definition=True,
        )
        self._remember(definition.content, refused, _REFUSED_FOR)
        return refused

    def _remember(self, content: str, answer: str | LaunchRefused, seconds: float) -> None:
        if len(self._known) >= _MOST_KNOWN:
            self._known.clear()
        self._known[content] = _Known(answer, clock.monotonic() + seconds)
