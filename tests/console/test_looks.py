"""Every page as people see it: one browser, one server, one page after the other."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

import pytest
from playwright.sync_api import expect

from barbeque_py.identity import EVERYBODY
from barbeque_py.outcomes import Fate, Reason
from barbeque_py.setting_values import EnvironmentName
from barbeque_py.store import Tx, views
from tests.console.history import fill_numbers
from tests.console.looks import Viewer, open_browser, open_viewer
from tests.console.releases import fill_releases
from tests.console.rigs import Place, open_place, serve_console, stored
from tests.console.running import fill_running, refused

PAGES: list[tuple[str, str]] = [
    ("overview", "/"),
    ("failures", "/failures"),
    ("failure", "/failures/1"),
    ("failure-retry", "/failures/1/retry"),
    ("jobs", "/jobs"),
    ("job", "/jobs/media/Encode"),
    ("stats", "/jobs/media/Encode/stats?range=24h"),
    ("stats-all", "/stats?range=30d"),
    ("timeline", "/timeline?range=24h"),
    ("apps", "/apps"),
    ("app", "/apps/media"),
    ("release", "/apps/media/releases/3"),
    ("release-ask", "/apps/media/release?image=registry.example.com/media:4&note=faster"),
    ("rollback", "/apps/media/rollback?to=1"),
    ("definition", "/jobs/media/Encode/definition"),
    ("definition-edit", "/jobs/media/Encode/edit?edition=1"),
    ("app-remove", "/apps/media/remove"),
    ("definition-new", "/apps/media/new_job"),
    ("executions", "/executions"),
    ("executions-kept", "/executions?state=failed&app=media"),
    ("views", "/executions/views"),
    ("executions-none", "/executions?app=nobody"),
    ("executions-misread", "/executions?q=app:media+stat:failed"),
    ("execution", "/job_executions/{failed}"),
    ("tags", "/job_executions/{failed}/tags"),
    ("log", "/job_executions/{failed}/log"),
    ("log-compare", "/job_executions/{failed}/log/compare"),
    ("log-none", "/job_executions/{failed}/log?q=nothing+like+that"),
    ("queues", "/queues"),
    ("queue-pause", "/queues/default/pause"),
    ("workers", "/workers"),
    ("schedules", "/schedules"),
    ("schedule", "/schedules/media/Encode/nightly"),
    ("subscriptions", "/subscriptions"),
    ("notices", "/notices"),
    ("notices-resend", "/notices/resend"),
    ("notice", "/notices/{refused}"),
    ("dead-messages", "/dead_messages"),
    ("search", "/search?q=e"),
    ("search-nothing", "/search?q=nothing-of-that-name"),
    ("help", "/help"),
    ("not-found", "/nothing"),
]
"""Each page's name and address; `{failed}` is the id of an execution that has failed once."""

FILLERS: list[Callable[[Place], None]] = [fill_numbers, fill_releases, fill_running]
"""What else there is to be seen: each one adds to the place."""


@pytest.fixture(scope="module")
def failed() -> dict[str, str]:
    return {}


@pytest.fixture(scope="module")
def viewer(tmp_path_factory: pytest.TempPathFactory, failed: dict[str, str]) -> Iterator[Viewer]:
    with open_place(tmp_path_factory.mktemp("looks")) as place, open_browser() as browser:
        failed["failed"] = fill(place)
        failed["refused"] = place.store.read(refused)
        for add in FILLERS:
            add(place)
        named = replace(place.parts, environment=EnvironmentName("production", "red"))
        with (
            serve_console(replace(place, parts=named)) as address,
            open_viewer(browser, address) as found,
        ):
            yield found


def fill(place: Place) -> str:
    """Fill the place with long words of all kinds; return the id of what has failed once."""
    message_id = place.enqueue(message='{"long":"' + "x" * 300 + '"}')
    fate = Fate(Reason.EXITED, 3, "unbroken" * 40)
    lines = [stored("y" * 400, stream="err"), stored("word " * 100)]
    place.settle(place.start(), fate, lines=lines)
    place.tell(message_id, "r" * 200 + " said no")
    place.enqueue(queue="slow")
    place.enqueue(job="Encode")
    for whose, name in ((EVERYBODY.name, "Night shift"), ("ann@example.com", "w" * 60)):
        place.store.write(partial(keep_view, whose=whose, name=name))
    place.bury('{"z":"' + "z" * 300 + '"}', "a reason " * 20 + "w" * 100)
    return message_id


def keep_view(tx: Tx, *, whose: str, name: str) -> None:
    """Let somebody share a view."""
    views.put(tx, whose, name, "state=failed&job=" + "j" * 90, app=None, shared=True)


@pytest.mark.parametrize(("name", "path"), PAGES, ids=[name for name, _ in PAGES])
def test_a_page_is_fit_for_everybody(
    viewer: Viewer, failed: dict[str, str], name: str, path: str
) -> None:
    viewer.forgiven = r"status of 40[04]" if "not-found" in name or "misread" in name else None
    viewer.look(name, path.format_map(failed))


def test_two_people_edit_one_definition_and_the_second_sees_what_the_first_changed(
    viewer: Viewer,
) -> None:
    viewer.forgiven = "status of 4(09|22)"
    path, second = "/jobs/media/Thumbnail/edit", viewer.page
    viewer.go(path)
    first = viewer.context.new_page()
    first.goto(viewer.address + path)
    for page, text in ((first, "command: [first]\n"), (second, "command: [second]\ncpu: x\n")):
        page.get_by_label("Definition, as in").fill(text)
    first.get_by_role("button", name="Look at the difference").click()
    first.get_by_role("button", name="Save").click()
    first.get_by_text("The definition is saved").wait_for()
    first.close()
    second.get_by_role("button", name="Look at the difference").click()
    second.get_by_text("has changed it since you began").wait_for()
    expect(second.get_by_text("+ - first")).to_have_count(1)
    expect(second.get_by_text("+ command: [second]")).to_have_count(1)
    viewer.settle("definition-conflict")
    second.get_by_role("button", name="Look at the difference").click()
    second.get_by_text("stands where a whole number is needed").wait_for()
    viewer.settle("definition-fault")
    second.get_by_label("Definition, as in").fill("command: [first, second]\n")
    second.get_by_role("button", name="Look at the difference").click()
    second.get_by_role("button", name="Go on editing").wait_for()
    viewer.settle("definition-difference")
    second.get_by_role("button", name="Save").click()
    second.get_by_text("The definition is saved").wait_for()
