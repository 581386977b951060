"""What people do with a job on its page, beside running it."""

from dataclasses import replace

import httpx

from barbeque_py.apply import Applying, Wish
from barbeque_py.identity import EVERYBODY
from barbeque_py.store import Tx, apps, audit, editions, revisions, schedules
from barbeque_py.yaml_tree import read_yaml
from tests.console.releases import FIRST, make_known
from tests.console.rigs import Place

JOB = "/jobs/media/Encode"
FILE = """
apps:
- name: media
  image: media:latest
  jobs:
  - name: Encode
    command: [encode]
    schedules:
    - {name: hourly, cron: "5 * * * *"}
    - {name: nightly, cron: "0 1 * * *", timezone: Asia/Tokyo}
"""


def apply(place: Place) -> None:
    who = replace(EVERYBODY, name="ann")
    Applying(place.store, place.parts.sources, None, None).make(Wish(who, read_yaml(FILE)))


def resting(place: Place) -> list[str]:
    found = place.store.read(lambda tx: schedules.of_job(tx, "media", "Encode"))
    return [each.schedule.name for each in found if each.suspended_at is not None]


def test_schedules_rest_one_by_one_or_all(place: Place, browser: httpx.Client) -> None:
    assert browser.post(f"{JOB}/schedules/suspend").status_code == 404
    apply(place)
    page = browser.get(JOB).text
    assert "Asia/Tokyo" in page
    assert page.count(f'href="{JOB}/schedules/suspend') == 3, "each, and all"
    asked = browser.get(f"{JOB}/schedules/suspend?name=hourly").text
    assert f'action="{JOB}/schedules/suspend"' in asked
    assert browser.get(f"{JOB}/schedules/suspend?name=x").status_code == 404
    said = {"name": "hourly", "reason": "its source is <moved>", "lasts": "4h"}
    assert (
        browser.post(f"{JOB}/schedules/suspend", data=said | {"lasts": "4" * 9}).status_code == 422
    )
    one = browser.post(f"{JOB}/schedules/suspend", data=said)
    assert "its source is &lt;moved&gt;" in browser.get(JOB).text
    assert "its source is &lt;moved&gt;" in browser.get("/schedules").text
    assert one.headers["location"] == f"{JOB}?notice=suspended"
    assert resting(place) == ["hourly"]
    assert browser.post(f"{JOB}/schedules/suspend").status_code == 303
    assert resting(place) == ["hourly", "nightly"]
    assert browser.get(JOB).text.count(f'action="{JOB}/schedules/resume"') == 3
    assert browser.post(f"{JOB}/schedules/resume").status_code == 303
    assert resting(place) == []
    assert browser.post(f"{JOB}/schedules/resume", data={"name": "x"}).status_code == 404
    rows = place.store.read(lambda tx: audit.newest(tx, audit.Wanted(app="media")))
    switched = [row.action for row in rows if row.action.startswith("schedule.")]
    assert switched.count("schedule.suspend") == 3, "the one that rested has another end"
    assert switched.count("schedule.resume") == 2


def test_a_test_notice_goes_to_whom_the_job_names(place: Place, browser: httpx.Client) -> None:
    alone = browser.post(f"{JOB}/test_notice")
    assert alone.status_code == 409
    assert "nobody to tell" in alone.text
    make_known(place, "media:1", FIRST)
    assert "#media" in browser.get(JOB).text
    told = browser.post(f"{JOB}/test_notice")
    assert told.headers["location"] == f"{JOB}?notice=told"
    [row] = place.store.read(lambda tx: audit.newest(tx, audit.Wanted(app="media"), most=1))
    assert row.action == "notice.test"
    assert row.after is not None
    assert len(row.after.split(",")) == 2, "Slack and the webhook"
    assert browser.post("/jobs/media/Nothing/test_notice").status_code == 404


def test_a_job_is_copied_without_its_times(place: Place, browser: httpx.Client) -> None:
    apply(place)
    copied = browser.get("/apps/media/new_job?like=Encode").text
    assert "- encode" in copied
    assert "hourly" not in copied


def test_an_app_goes_with_all_that_is_its_and_comes_back(
    place: Place, browser: httpx.Client
) -> None:
    apply(place)
    make_known(place, "media:1", FIRST)
    message_id = place.enqueue(job="Encode")
    assert "All its jobs go with it" in browser.get("/apps/media/remove").text
    assert browser.post("/apps/media/remove", data={"typed": "medium"}).status_code == 422
    gone = browser.post("/apps/media/remove", data={"typed": "media"})
    assert gone.headers["location"] == "/apps?notice=app-removed"

    def left(tx: Tx) -> tuple[int, int, int]:
        return len(apps.all_apps(tx)), len(apps.all_jobs(tx)), len(schedules.everything(tx))

    assert place.store.read(left) == (0, 0, 0)
    assert message_id in browser.get("/executions").text
    for path in ("/apps", "/jobs", f"/job_executions/{message_id}", f"{JOB}/definition"):
        assert browser.get(path).status_code == 200, path
    assert browser.post("/apps/media/remove", data={"typed": "media"}).status_code == 404
    rows = place.store.read(lambda tx: audit.newest(tx, audit.Wanted(app="media")))
    assert {"app.remove", "job.remove", "schedule.remove"} <= {row.action for row in rows}
    newest = place.store.read(lambda tx: editions.newest(tx, "media", "Encode"))
    assert newest is not None
    assert newest.text is None
    apply(place)
    again = place.store.read(lambda tx: revisions.current(tx, "media"))
    assert again is not None
    assert again.number == 2, "its releases are counted on"
