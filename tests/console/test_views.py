"""Views of the list of executions, and its columns."""

import re

import httpx

from barbeque_py.store import audit, views
from tests.console.rigs import Place

LIST = "/executions?state=failed&app=media"


def keep(browser: httpx.Client, name: str, **more: str) -> httpx.Response:
    form = {"name": name, "conditions": LIST.partition("?")[2]} | more
    return browser.post("/executions/views", data=form)


def change(browser: httpx.Client, number: str, **form: str) -> httpx.Response:
    return browser.post(f"/executions/views/{number}", data=form)


def share(place: Place, name: str, *, app: str | None, shared: bool = True) -> None:
    query = "state=failed" + (f"&app={app}" if app else "")
    place.store.write(lambda tx: views.put(tx, "ann", name, query, app=app, shared=shared))


def test_a_view_is_kept_used_renamed_shared_and_removed(
    place: Place, browser: httpx.Client
) -> None:
    assert "Save as a view" not in browser.get("/executions").text
    assert "Save as a view" in browser.get(LIST).text
    assert browser.get(keep(browser, " Night  shift ").headers["location"]).status_code == 200
    assert keep(browser, " ").status_code == 422
    assert keep(browser, "x" * 61).status_code == 422
    assert keep(browser, "All", conditions="nothing=x").status_code == 422
    page = browser.get(LIST).text
    link = f'<a href="{LIST.replace("&", "&amp;")}" aria-current="page">Night shift</a>'
    assert link in page
    assert "Save as a view" not in page
    listed = browser.get("/executions/views").text
    [number] = re.findall(r'action="/executions/views/(\d+)"', listed)
    assert change(browser, number, name="<b>", shared="1").status_code == 303
    assert ">&lt;b&gt;</a>" in browser.get("/executions").text
    keep(browser, "Other")
    assert change(browser, number, name="Other").status_code == 409
    assert change(browser, "999", name="Other").status_code == 404
    assert change(browser, number, action="remove").status_code == 303
    assert "&lt;b&gt;" not in browser.get("/executions").text
    trail = place.store.read(lambda tx: audit.newest(tx, audit.Wanted()))
    assert [each.action for each in trail] == ["view.unshare", "view.share"]


def test_others_see_what_is_shared_and_can_t_change_it(place: Place, browser: httpx.Client) -> None:
    share(place, "ours", app="media")
    share(place, "of all", app=None)
    share(place, "foreign", app="books")
    share(place, "mine", app=None, shared=False)
    page = browser.get("/executions").text
    assert 'title="Shared by ann">ours</a>' in page
    assert ">mine</a>" not in page
    assert "Shared by others" in browser.get("/executions/views").text
    found = place.store.read(lambda tx: views.for_person(tx, "bob", frozenset({"media"})))
    assert [each.name for each in found] == ["ours"], "no name of an app that they may not see"
    assert change(browser, str(found[0].id), action="remove").status_code == 404
    assert place.store.read(lambda tx: views.get(tx, found[0].id))


def test_a_person_keeps_so_many_views_and_no_more(place: Place) -> None:
    def fill(n: int) -> bool:
        return place.store.write(
            lambda tx: views.put(tx, "ann", f"{n}", "state=failed", app=None, shared=False)
        )

    assert all(fill(n) for n in range(views.MOST))
    assert not fill(views.MOST)
    assert fill(0), "what is there can be kept anew"


def test_columns_are_those_that_a_person_chose(place: Place, browser: httpx.Client) -> None:
    place.enqueue()
    assert '<th class="number">Attempts</th>' in browser.get("/executions").text
    form = {"job": "1", "end": "1", "conditions": "app=media"}
    chosen = browser.post("/executions/columns", data=form)
    assert chosen.headers["location"] == "/executions?app=media"
    page = browser.get("/executions").text
    heads = re.findall(r"<th[^>]*>([^<]+)</th>", page)
    assert heads == ["State", "Job", "Message id", "How it ended"]
    assert 'data-label="Queue"' not in page
    assert '<input type="checkbox" name="queue" value="1">' in page
    browser.post("/executions/columns", data={})
    assert re.findall(r"<th[^>]*>([^<]+)</th>", browser.get("/executions").text) == [
        "State",
        "Message id",
    ]
