"""The scale rehearsal at its full number; `python -m bench.rehearsal` takes fewer jobs."""

import pytest

from bench.rehearsal import RATE, draw, rehearse, tell
from bench.report import Report
from tests.flows.pages import ROOT
from tests.stores import MariaDb

JOBS = 200_000
QUOTA = 3
"""How many times as fast as the real one time goes: what two cores can follow."""


@pytest.mark.soak
@pytest.mark.mariadb
@pytest.mark.timeout(0)
@pytest.mark.parametrize("apps", [1, 10])
def test_many_jobs_go_through_at_the_quota_and_nobody_waits_beyond_twice_a_fair_share(
    mariadb: MariaDb, apps: int
) -> None:
    found = rehearse(mariadb, JOBS, quota=QUOTA, apps=apps)
    report = Report(f"{JOBS:,} jobs of {apps} apps, quota {QUOTA}", as_json=False)
    tell(report, found)
    report.show()
    draw(found, ROOT / "soak" / f"rehearsal-{apps}.svg")
    assert found.refused == 0
    assert len(found.jobs) == JOBS
    assert found.states.keys() == {"succeeded"}
    assert found.most_tasks == 1
    assert found.tasks == found.states["succeeded"]
    assert found.rate() > 0.9 * RATE * QUOTA
    assert found.unfairness() <= 2
