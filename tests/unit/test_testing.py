"""What tests of apps can do with a barbeque_py in memory, beside what every client does."""

from typing import Any

import pytest

from barbeque_py.pytest_plugin import barbeque
from barbeque_py.testing import MemoryClient

__all__ = ["barbeque"]


def test_the_fixture_is_a_client_without_jobs(barbeque: MemoryClient) -> None:
    assert barbeque.jobs == []
    message_id = barbeque.enqueue("shop", "Invoice", {"book": 1}, priority=3).message_id
    [job] = barbeque.jobs
    assert (job.message_id, job.app, job.job) == (message_id, "shop", "Invoice")
    assert (job.message, job.options) == ({"book": 1}, {"priority": 3})
    assert not job.ended


def test_what_waits_can_be_worked_off_here(barbeque: MemoryClient) -> None:
    good, bad = (barbeque.enqueue("shop", name, 20).message_id for name in ("Half", "Broken"))

    def run(name: str, message: Any) -> Any:
        if name == "Broken":
            raise ZeroDivisionError("no")
        return message // 2

    barbeque.work(run)
    assert barbeque.wait(good).result == 10
    assert barbeque.wait(bad).state == "failed"
    assert [line.text for line in barbeque.logs(bad)] == ["ZeroDivisionError('no')"]
    barbeque.work(lambda *_: pytest.fail("nothing waits any more"))


def test_a_result_is_what_json_makes_of_it(barbeque: MemoryClient) -> None:
    message_id = barbeque.enqueue("shop", "Tuple", [1]).message_id
    barbeque.finish(message_id, result={"a": (1, 2)})
    assert barbeque.result(message_id) == {"a": [1, 2]}
    other = barbeque.enqueue("shop", "Set", [1]).message_id
    with pytest.raises(TypeError):
        barbeque.finish(other, result={1, 2})
