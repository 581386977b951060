"""A job may write as much as it likes: the worker's memory stays what it was."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.images import make_test_image
from tests.worker.office import Office

MOST = 150 * 1024
"""KiB of the worker's memory at its highest."""

SIZES = [
    pytest.param(100, id="short"),
    pytest.param(1000, id="whole", marks=[pytest.mark.soak, pytest.mark.timeout(0)]),
]


@pytest.fixture(params=["process", pytest.param("docker", marks=pytest.mark.docker)])
def office(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Office]:
    image = make_test_image() if request.param == "docker" else ""
    office = Office(tmp_path, f"{request.param}:?slots=2", image=image)
    yield office
    office.close()


@pytest.mark.parametrize("megabytes", SIZES)
def test_a_container_that_writes_much_costs_the_worker_no_memory(
    office: Office, megabytes: int
) -> None:
    line = "x" * 99
    office.define("job", f"yes {line} | head -c {megabytes}000000")
    worker = office.work_apart()
    message_id = office.enqueue("job")
    execution = office.end_of(message_id, seconds=100 + megabytes)
    (attempt,) = office.attempts(message_id)
    assert execution.state == "succeeded"
    assert attempt.log_lines == megabytes * 10_000
    assert attempt.log_bytes == megabytes * 1_000_000
    peak = _peak(worker.pid)
    print(f"the worker's memory at its highest: {peak // 1024} MiB for {megabytes} MB of log")
    assert peak < MOST


def _peak(pid: int) -> int:
    (line,) = [
        line
        for line in Path(f"/proc/{pid}/status").read_text().splitlines()
        if line.startswith("VmHWM:")
    ]
    return int(line.split()[1])
