"""The alert rules and the dashboard: they ask for what there is, and fire when they must.

What Prometheus would have scraped is scraped here, of real parts, minute by minute; promtool then
runs the rules over it. Minutes pass by the database's clock, which tests can shift.
"""

import json
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from barbeque_py.apps import App
from barbeque_py.errors import Throttled
from barbeque_py.executor import Executor
from barbeque_py.intake import Intake
from barbeque_py.store import Store, apps
from barbeque_worker.courier import Backoff
from tests.api.served import parts_of
from tests.flows.place import free_port
from tests.parts import missing
from tests.seeing.scraping import PAGE, Samples, documented, scrape, total
from tests.waiting import wait_until
from tests.worker.office import Office

FOLDER = Path(__file__).parents[2] / "deploy" / "observability"
RULES, DASHBOARD = FOLDER / "alerts.yaml", FOLDER / "dashboard.json"
MINUTES = 30
OTHERS = {"up", "process_cpu_seconds_total", "process_resident_memory_bytes"}
FIRING = 'count by (alertname) (ALERTS{alertstate="firing"})'


class Throttling:
    """An executor whose account is throttled."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self.calls = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._executor, name)

    def start(self, *_: Any) -> Any:
        self.calls += 1
        raise Throttled("rate exceeded")


def expressions() -> dict[str, str]:
    """Return what the rules and the dashboard ask, by alert or panel."""
    rules = yaml.safe_load(RULES.read_text())["groups"][0]["rules"]
    found = {each["alert"]: each["expr"] for each in rules}
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        for target in panel.get("targets", ()):
            expression = target["expr"].replace("$__rate_interval", "5m")
            found[f"{panel['title']} {target['refId']}"] = expression
    return found


def asked_for(expression: str) -> set[str]:
    """Return the metrics in an expression, a histogram's without what its samples end with."""
    names = re.findall(r"\b(?:barbeque|process)_\w+\b|\bup\b", expression)
    return {re.sub(r"_(bucket|count|sum)$", "", each) for each in names}


def test_rules_and_dashboard_ask_for_metrics_that_there_are(tmp_path: Path) -> None:
    wanted = {name: asked_for(each) for name, each in expressions().items()}
    assert all(wanted.values())
    assert set().union(*wanted.values()) <= documented() | OTHERS
    alerts = re.findall(r"^\| `(Barbeque\w+)` \|", PAGE.read_text(), re.MULTILINE)
    assert alerts == [name for name in wanted if name.startswith("Barbeque")]
    nothing = [{"expr": each, "exp_samples": []} for each in expressions().values()]
    run_rules(tmp_path, [{"interval": "1m", "promql_expr_test": nothing}])


def run_rules(folder: Path, tests: Sequence[Mapping[str, Any]]) -> None:
    """Have promtool run the rules over these series."""
    if shutil.which("promtool") is None:
        missing("promtool", "Debian's package prometheus has it")
    (folder / "alerts.yaml").write_text(RULES.read_text())
    file = folder / "tests.yaml"
    file.write_text(yaml.safe_dump({"rule_files": ["alerts.yaml"], "tests": list(tests)}))
    ended = subprocess.run(
        ["promtool", "test", "rules", str(file)], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    """An installation whose Slack is away."""
    slack = f"http://127.0.0.1:{free_port()}"
    more = {"BARBEQUE_SLACK": "xoxb-1-nobody-of-ours", "BARBEQUE_SLACK_API": slack}
    office = Office(tmp_path, "process:?slots=4", more=more)
    chosen: dict[str, object] = {"slack": "#media", "hears": ["failure"]}
    office.store.write(lambda tx: apps.put_app(tx, App("app", "", notify=chosen)))
    yield office
    office.close()


def look(office: Office, minute: int = 0) -> Samples:
    """Return what the API tells that many minutes from now."""
    with closing(Store(office.settings.database, shift=timedelta(minutes=minute))) as store:
        return scrape(replace(parts_of(office.store, office.home), store=store))


def as_series(scrapes: Iterable[Samples]) -> list[dict[str, str]]:
    """Write scrapes, a minute apart, as promtool reads series."""
    values: dict[str, list[str]] = {}
    for number, samples in enumerate(scrapes):
        for (name, labels), value in samples.items():
            if not name.startswith("barbeque_"):
                continue
            inside = ",".join(f'{key}="{text}"' for key, text in sorted(labels))
            known = values.setdefault(f"{name}{{{inside}}}", [])
            known += ["_"] * (number - len(known)) + [repr(value)]
    return [{"series": name, "values": " ".join(each)} for name, each in values.items()]


def fires(scrapes: Sequence[Samples], *alerts: str, at: int) -> dict[str, Any]:
    """Expect these alerts to fire at that minute, and no others."""
    expected = [{"labels": f'{{alertname="{each}"}}', "value": 1} for each in alerts]
    return {
        "interval": "1m",
        "input_series": as_series(scrapes),
        "promql_expr_test": [{"expr": FIRING, "eval_time": f"{at}m", "exp_samples": expected}],
    }


def test_the_rules_fire_for_a_stopped_worker_a_dead_channel_and_a_throttled_account(
    office: Office, tmp_path: Path
) -> None:
    calm = [look(office)]
    stop = office.work(backoff=Backoff(first=timedelta(seconds=0.1)))
    office.define("well", "true")
    office.end_of(office.enqueue("well"))
    calm += [look(office)] * MINUTES
    office.define("badly", "exit 1")
    office.end_of(office.enqueue("badly"))
    channel = [calm[-1]]
    while len(channel) < 5:
        channel.append(once_more(office, channel[-1]))
    stop()
    throttled = [look(office)]  # the notice may have failed once more meanwhile
    throttling = Throttling(office.parts.executor)
    stop = office.work(wrap=lambda _: throttling, backoff=Backoff(first=timedelta(hours=1)))
    office.enqueue("well")
    wait_until(lambda: throttling.calls >= 4, "it is throttled")
    throttled.append(look(office))
    stop()
    office.enqueue("well")
    intake = Intake(office.store, office.parts.broker, office.parts.logs)
    assert intake.take("default", wait=timedelta(0)) == 1
    stopped = [look(office, minute) for minute in range(MINUTES)]
    run_rules(
        tmp_path,
        [
            fires(calm, at=20),
            fires(channel + channel[-1:] * MINUTES, "BarbequeChannelDead", at=8),
            fires(throttled + throttled[-1:] * MINUTES, "BarbequeThrottled", at=5),
            fires(stopped, "BarbequeNoWorker", at=5),
            fires(
                stopped,
                "BarbequeNoWorker",
                "BarbequeNoticesLate",
                "BarbequeOutboxOld",
                "BarbequeQueueOld",
                at=28,
            ),
        ],
    )


def once_more(office: Office, before: Samples) -> Samples:
    """Wait until a notice could not be sent once more."""

    def another() -> Samples | None:
        found = look(office)
        return found if failed(found) > failed(before) else None

    return wait_until(another, "a notice can't be sent")


def failed(samples: Samples) -> float:
    """Return how often a notice could not be sent."""
    return total(samples, "barbeque_notices_total", outcome="failed")
