"""Where a task's log is, before the task is known and after."""

import pytest

from barbeque_py.cloudwatch import LogPlace, parse_log_at
from barbeque_py.task_log import begin_log_at, is_by_firelens, log_of_task

TASK = "arn:aws:ecs:us-east-1:123456789012:task/jobs/0123456789abcdef0123456789abcdef"


@pytest.mark.parametrize("prefix", ["media", "a/b", "A--B.c_d"])
def test_awslogs_goes_on_with_the_container_and_the_task(prefix: str) -> None:
    begun = begin_log_at("us-east-1", "/barbeque/a b", prefix)
    assert parse_log_at(log_of_task(begun, TASK)) == LogPlace(
        "us-east-1", "/barbeque/a b", f"{prefix}/app/0123456789abcdef0123456789abcdef"
    )
    assert not is_by_firelens(begun)


def test_firelens_goes_on_with_its_tag() -> None:
    begun = begin_log_at("us-east-1", "/barbeque/media", "jobs", by_firelens=True)
    assert is_by_firelens(begun)
    assert log_of_task(begun, TASK) == (
        "firelens:us-east-1:/barbeque/media:jobs/app-firelens-0123456789abcdef0123456789abcdef"
    )
