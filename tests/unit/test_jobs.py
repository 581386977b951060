"""Functions as jobs: what is sent, what is refused, and how tests run them."""

from typing import Any

import pytest

from barbeque_py.jobs import Jobs, UnknownFunction, plain
from barbeque_py.testing import MemoryClient


@pytest.fixture
def memory() -> MemoryClient:
    return MemoryClient()


@pytest.fixture
def jobs(memory: MemoryClient) -> Jobs:
    jobs = Jobs("shop", memory)

    @jobs.job
    def add(one: int, other: int = 1) -> int:
        return one + other

    @jobs.job(name="Later", queue="slow", priority=3)
    async def later(*words: str) -> list[str]:
        return [*words]

    return jobs


def test_a_call_becomes_a_message_and_runs_from_it(jobs: Jobs, memory: MemoryClient) -> None:
    add, later = jobs.functions["add"], jobs.functions["Later"]
    assert add(2, 3) == 5
    sum_, words = add.delay(2, other=3).message_id, later.delay("a", "b").message_id
    assert [(job.app, job.job) for job in memory.jobs] == [("shop", "add"), ("shop", "Later")]
    assert memory.jobs[0].message == {"args": [2], "kwargs": {"other": 3}}
    assert memory.jobs[1].options == {"queue": "slow", "priority": 3}
    memory.work(jobs.run)
    assert (memory.result(sum_), memory.result(words)) == (5, ["a", "b"])


def test_arguments_that_the_function_does_not_take_are_refused_at_once(jobs: Jobs) -> None:
    add = jobs.functions["add"]
    calls: list[tuple[list[int], dict[str, int]]] = [([], {}), ([1, 2, 3], {}), ([1], {"c": 3})]
    for args, kwargs in calls:
        with pytest.raises(TypeError, match="argument"):
            add.delay(*args, **kwargs)


@pytest.mark.parametrize("value", [{1}, b"a", object(), {1: 2}, [{"a": (1, {2})}], 1j])
def test_arguments_that_json_lacks_are_refused_at_once(jobs: Jobs, value: Any) -> None:
    with pytest.raises(TypeError, match="nothing that JSON has"):
        jobs.functions["add"].delay(value)


def test_tuples_are_lists() -> None:
    assert plain({"a": (1, (2.5, None))}) == {"a": [1, [2.5, None]]}


@pytest.mark.parametrize("option", ["countdown", "eta", "retries", "max_retries", "acks_late"])
def test_options_that_are_not_there_are_refused_where_they_are_written(
    jobs: Jobs, option: str
) -> None:
    options: dict[str, Any] = {option: 3}
    with pytest.raises(TypeError, match=option):
        jobs.job(**options)
    with pytest.raises(TypeError, match=option):
        jobs.functions["add"].enqueue([1], **options)


def test_names_are_there_once_and_others_are_unknown(jobs: Jobs) -> None:
    with pytest.raises(ValueError, match="two functions of shop are called add"):
        jobs.job(name="add")(lambda: None)
    with pytest.raises(UnknownFunction, match="known: Later, add"):
        jobs.run("gone", {})
