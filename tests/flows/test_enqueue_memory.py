"""An API under load keeps its memory, whatever is posted and however it is answered."""

import json
from pathlib import Path

import pytest

from barbeque_py import clock
from bench.enqueue import BODY
from bench.load import PATH, load_with
from bench.site import opened

MOST_GROWTH = 8 * 1024
"""KiB that the memory may be larger at the end than when everything had been warm."""

BATCH = json.dumps({"jobs": [json.loads(BODY)] * 50})
LENGTHS = [pytest.param(600, id="whole", marks=[pytest.mark.soak, pytest.mark.timeout(0)])]


@pytest.mark.parametrize("seconds", LENGTHS)
def test_load_leaves_the_memory_of_the_api_flat(seconds: int) -> None:
    assert growth(seconds) < MOST_GROWTH


def growth(seconds: int) -> int:
    """Load an API for so long; return by how many KiB it grew behind the first fifth."""
    with opened(1, []) as site:
        process, url = site.serve("api")
        began, warm, answered = clock.monotonic(), 0, 0
        while (spent := clock.monotonic() - began) < seconds:
            if not warm and spent > seconds / 5:
                warm = _resident(process.pid)
            answered += load_with(url, BODY, seconds=3, connections=32)
            answered += load_with(url, BATCH, seconds=1, connections=4, path=f"{PATH}/batch")
        end = _resident(process.pid)
    print(f"{answered:,} requests in {seconds} s: {warm // 1024} MiB, then {end // 1024} MiB")
    return end - warm


def _resident(pid: int) -> int:
    (line,) = [
        line
        for line in Path(f"/proc/{pid}/status").read_text().splitlines()
        if line.startswith("VmRSS:")
    ]
    return int(line.split()[1])
