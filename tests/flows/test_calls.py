"""What a job costs in calls of AWS, counted where they arrive."""

from collections.abc import Iterator

import pytest

from bench.calls import Bill, bill_idle, bill_loaded, bill_silence, started
from bench.fleet import Fleet

LOADED, FEWER = 100, 40


@pytest.fixture(scope="module")
def fleet() -> Iterator[Fleet]:
    with started() as found:
        yield found


def assert_dear_at_most(bill: Bill, most: float) -> None:
    assert bill.own <= most, bill
    assert bill.each("ecs.RunTask") == bill.each("s3.PutObject") == 1, bill
    assert bill.each("logs.GetLogEvents") == 2, bill
    once = ("ecs.RegisterTaskDefinition", "ecs.DescribeClusters", "s3.ListObjectsV2")
    assert not any(bill.calls[name] for name in once), bill


def test_a_job_under_load_costs_three_calls_and_nothing_for_running_a_second(fleet: Fleet) -> None:
    bill = bill_loaded(fleet, LOADED)
    assert_dear_at_most(bill, 3)
    assert bill.calls["sqs.SendMessageBatch"] == LOADED / 10
    assert bill.each("ecs.DescribeTasks") == 0


@pytest.mark.soak
def test_a_job_of_ten_minutes_costs_the_same_and_a_hundredth_of_each_look(fleet: Fleet) -> None:
    bill = bill_loaded(fleet, FEWER, long=True)
    assert_dear_at_most(bill, 3.5)  # so few leave the last batches of events half empty
    assert bill.each("ecs.DescribeTasks") <= 10 / 100


def test_a_job_alone_costs_nine_calls(fleet: Fleet) -> None:
    bill = bill_idle(fleet, 2)
    assert_dear_at_most(bill, 9)
    assert bill.each("ecs.DescribeTasks") == 0


@pytest.mark.soak
def test_a_job_of_ten_minutes_alone_is_looked_at_twice_at_most(fleet: Fleet) -> None:
    bill = bill_idle(fleet, 1, long=True)
    assert_dear_at_most(bill, 9)
    assert bill.each("ecs.DescribeTasks") <= 2


def test_an_idle_worker_only_polls_its_queues(fleet: Fleet) -> None:
    calls = bill_silence(fleet, 6.0)
    assert calls["sqs.ReceiveMessage"] <= 2
    assert calls.total() == calls["sqs.ReceiveMessage"]
