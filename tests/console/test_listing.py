"""The list of executions: conditions in words, what is new, and changes in bulk."""

import csv
import re
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from barbeque_console import export
from barbeque_console.conditions import Misread, from_filter, from_query, from_text
from barbeque_py.executions import State
from barbeque_py.outcomes import Fate, Reason
from barbeque_py.store import audit, lists, tables
from barbeque_py.store import executions as rows
from tests.console.rigs import Place
from tests.console.test_executions import ids_on

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)


def test_what_is_typed_is_a_link_a_filter_and_what_was_typed() -> None:
    typed = 'state:failed app:media job:"My Job" tag:a=b since:24h'
    found = from_text(typed)
    assert found.typed == typed
    assert found.query == "state=failed&app=media&job=My+Job&tag=a%3Db&since=24h"
    wanted = found.filter(NOW)
    assert (wanted.state, wanted.job, wanted.tags) == (State.FAILED, "My Job", (("a", "b"),))
    assert wanted.since == NOW - timedelta(days=1)
    later = from_filter(found.fixed(NOW)).filter(NOW + timedelta(days=9))
    assert later == wanted
    assert from_text("01A21DD6-beef").filter(NOW).prefix == "01a21dd6-beef"
    assert not from_query([("job", ""), ("before", "7"), ("nonsense", "x")])


@pytest.mark.parametrize(
    ("typed", "place", "says"),
    [
        ("app:media stat:failed", 10, "Did you mean “state”?"),
        ("app:media broken", 10, "name:value"),
    ],
)
def test_what_can_t_be_read_is_told_with_its_place(typed: str, place: int, says: str) -> None:
    with pytest.raises(Misread, match=re.escape(says)) as caught:
        from_text(typed)
    assert caught.value.place == place


def test_wrong_values_are_told_and_show_nothing(place: Place, browser: httpx.Client) -> None:
    place.enqueue()
    for query in (
        "state=odd",
        "since=yesterday",
        "tag=a%3Db",
        "id=zz",
        "status=odd",
        "q=odd",
        "exit=odd",
        "duration=%3E",
    ):
        answer = browser.get(f"/executions?{query}", follow_redirects=True)
        assert answer.status_code == 400, query
        assert 'role="alert"' in answer.text
        assert ids_on_any(answer) == []
    typed = browser.get("/executions?q=queue:slow+state:queued")
    assert typed.headers["location"] == "/executions?state=queued&queue=slow"
    assert browser.get("/job_executions?job=Encode").headers["location"] == "/executions?job=Encode"


def test_what_matches_is_a_file_that_no_spreadsheet_runs(
    place: Place, browser: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lists, "MOST", 2)
    place.enqueue(queue="slow")
    made = [place.enqueue() for _ in range(5)]
    naming = tables.runs.executions.update().values(user_id='=1+1, "x"')
    place.store.write(lambda tx: tx.execute(naming))
    place.settle(place.start(), Fate(Reason.EXITED, 3))
    table = browser.get("/executions/export.csv?queue=default")
    assert table.headers["content-disposition"] == 'attachment; filename="executions.csv"'
    rows = list(csv.DictReader(table.text.splitlines()))
    assert [row["message_id"] for row in rows] == made[::-1]
    assert rows[0]["user_id"] == '\'=1+1, "x"'
    facts = browser.get("/executions/export.json?queue=default").json()
    assert [each["message_id"] for each in facts] == made[::-1]
    assert [each["exit_code"] for each in facts if each["exit_code"]] == [3]
    assert browser.get("/executions/export.json?queue=none").json() == []
    assert browser.get("/executions/export.csv?state=odd").status_code == 400
    monkeypatch.setattr(export, "MOST", 3)
    assert len(browser.get("/executions/export.json").json()) == 3


def ids_on_any(page: httpx.Response) -> list[str]:
    return re.findall(r'class="id" href="/job_executions/([^"]+)"', page.text)


def test_newer_rows_are_counted_and_don_t_move_those_that_are_read(
    place: Place, browser: httpx.Client
) -> None:
    made = [place.enqueue() for _ in range(3)]
    address = re.search(r'hx-get="(/executions\?top=\d+)"', browser.get("/executions").text)
    assert address
    newer = [place.enqueue() for _ in range(2)]
    again = browser.get(address[1], headers={"hx-request": "true"})
    assert ids_on(again) == made[::-1]
    assert "2 new" in again.text
    assert "<html" not in again.text
    assert ids_on(browser.get("/executions"))[:2] == newer[::-1]
    assert browser.get("/executions/count?queue=default").text.strip() == "5 executions"


def test_chosen_ones_are_changed_once_asked(place: Place, browser: httpx.Client) -> None:
    failed = [place.enqueue(), place.enqueue()]
    for _ in failed:
        place.settle(place.start(), Fate(Reason.EXITED, 0))
    waits = place.enqueue()
    form = {f"row-{each}": "on" for each in (*failed, waits)} | {"action": "retry"}
    asked = browser.post("/executions/bulk", data=form)
    assert "Retry 3 executions?" in asked.text
    fields = dict(re.findall(r'type="hidden" name="([^"]+)" value="([^"]*)"', asked.text))
    assert states(place, *failed) == [State.SUCCEEDED, State.SUCCEEDED]
    done = browser.post("/executions/bulk/begin", data=fields | {"image": "current"})
    assert "2 executions will be tried again" in done.text
    assert "1 was left alone" in done.text
    assert states(place, *failed) == [State.QUEUED, State.QUEUED]
    assert browser.post("/executions/bulk", data={"action": "retry"}).status_code == 422


def test_all_that_match_are_changed_in_turns_and_audited(
    place: Place, browser: httpx.Client
) -> None:
    made = [place.enqueue(queue="slow") for _ in range(120)]
    kept = place.enqueue()
    form = {"action": "cancel", "which": "all", "conditions": "queue=slow"}
    asked = browser.post("/executions/bulk", data=form)
    assert "Cancel 120 executions?" in asked.text
    fields = dict(re.findall(r'type="hidden" name="([^"]+)" value="([^"]*)"', asked.text))
    assert browser.post("/executions/bulk/begin", data=fields).status_code == 422
    begun = browser.post("/executions/bulk/begin", data=fields | {"typed": "cancel"})
    page = begun.headers["location"]
    assert "Go on" in browser.get(page).text
    for _ in range(9):
        if "Done." in browser.post(page).text:
            break
    assert set(states(place, *made)) == {State.CANCELLED}
    assert states(place, kept) == [State.QUEUED]
    trail = place.store.read(lambda tx: audit.newest(tx, audit.Wanted()))
    assert [each.action for each in trail] == ["executions.cancel"]
    again = browser.post("/executions/bulk/begin", data=fields | {"typed": "cancel", "found": "0"})
    assert "/executions/bulk/" in again.headers["location"]
    form["conditions"] = ""
    assert browser.post("/executions/bulk", data=form).status_code == 422


def states(place: Place, *message_ids: str) -> list[State]:
    def read(tx: object) -> list[State]:
        found = [rows.by_message_id(tx, each) for each in message_ids]  # type: ignore[arg-type]
        return [each.state for each in found if each is not None]

    return place.store.read(read)
