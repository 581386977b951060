"""Takes the pictures of docs/walk.md, in a browser: python -m tests.console.walk docs/walk."""

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.sync_api import Page

from barbeque_py.backoff import RetryPolicy
from barbeque_py.fingerprints import fingerprint_of, pattern_of
from barbeque_py.ids import AttemptId
from barbeque_py.notices import Audience, Channel, Event, Notice, NoticeState, Occasion, notice_id
from barbeque_py.outcomes import Fate, Reason
from barbeque_py.setting_values import EnvironmentName
from barbeque_py.store import Tx, apps, failures, notices, revisions
from barbeque_py.store import executions as rows
from barbeque_py.store.failures import Failed, Unsorted
from barbeque_py.store.notices import Delivery
from tests.console.history import fill_numbers
from tests.console.looks import open_browser, open_viewer
from tests.console.rigs import Place, open_place, serve_console, stored

_SIZE = {"width": 1100, "height": 700}
_ERROR = "ffmpeg: error while decoding stream #0:0 of /tmp/in/18.mp4"


def take(folder: Path) -> list[str]:
    """Write the pictures into the folder; return their names in the order of the walk."""
    taken: list[str] = []
    with (
        TemporaryDirectory() as home,
        open_place(Path(home)) as place,
        open_browser() as browser,
    ):
        message_id, notice = fill(place)
        named = replace(place.parts, environment=EnvironmentName("production", "red"))
        with (
            serve_console(replace(place, parts=named)) as address,
            open_viewer(browser, address) as viewer,
        ):
            viewer.page.set_viewport_size(_SIZE)  # type: ignore[arg-type]
            for name, path, look in _steps(message_id, notice):
                viewer.go(path)
                look(viewer.page)
                viewer.page.screenshot(path=folder / f"{name}.png")
                taken.append(name)
    return taken


def _steps(message_id: str, notice: str) -> list[tuple[str, str, Callable[[Page], object]]]:
    one = f"/job_executions/{message_id}"
    return [
        ("alert", f"/notices/{notice}", _as_it_stands),
        ("execution", one, _as_it_stands),
        ("line", f"{one}/log#L40", lambda page: page.locator(".ll.here").wait_for()),
        ("failure", "/failures/1", _as_it_stands),
        ("release", "/apps/media", _as_it_stands),
        ("rollback", "/apps/media/rollback", _as_it_stands),
        ("retry", "/failures/1/retry", _as_it_stands),
        ("retried", "/failures/1/retry", lambda page: page.locator("main button").last.click()),
        ("audit", "/audit", _as_it_stands),
    ]


def _as_it_stands(page: Page) -> None:
    page.wait_for_load_state("load")


def fill(place: Place) -> tuple[str, str]:
    """Let a video fail on the newest release; return its id, and that of the notice of it."""
    fill_numbers(place)
    place.store.write(_give_one_try)
    place.store.write(
        lambda tx: revisions.add(
            tx, "media", "media:3", pinned=None, made_by="bob@example.com", note="a newer ffmpeg"
        )
    )
    message_id = place.enqueue(job="Encode", message='{"key":"videos/18.mp4","sizes":[360,720]}')
    lines = [stored(f"frame={n * 24} fps=24 size={n * 18}kB", number=n) for n in range(39)]
    lines += [stored(_ERROR, number=39, stream="err"), stored("exit status 1", number=40)]
    attempt = place.start()
    place.settle(attempt, Fate(Reason.EXITED, 1), lines=lines)
    place.store.write(lambda tx: _sort(tx, message_id, attempt))
    return message_id, place.store.write(lambda tx: _tell(tx, message_id))


def _sort(tx: Tx, message_id: str, attempt: AttemptId) -> None:
    """Put the failure beside those that are like it, as a worker does."""
    execution = rows.by_message_id(tx, message_id)
    assert execution is not None
    found = Unsorted(
        attempt=attempt,
        execution=execution.id,
        number=1,
        message_id=message_id,
        app="media",
        job="Encode",
        user_id=None,
        finished_at=tx.now,
        reason="exited",
        exit_code=1,
        detail=None,
        log_lines=41,
        log_error=_ERROR,
    )
    failures.leave_unsorted(tx, [attempt])
    failures.sort(tx, [Failed(found, fingerprint_of("exited", 1, pattern_of(_ERROR)), _ERROR)])


def _give_one_try(tx: Tx) -> None:
    job = next(each for each in apps.all_jobs(tx) if each.name == "Encode")
    apps.put_job(tx, replace(job, retry=RetryPolicy(limit=0)))


def _tell(tx: Tx, message_id: str) -> str:
    execution = rows.by_message_id(tx, message_id)
    assert execution is not None
    occasion = Occasion(Event.FAILED, "media", "Encode", message_id, exit_code=1, lines=(_ERROR,))
    name = notice_id(occasion, Channel.SLACK, "#media")
    notices.add(
        tx, execution.id, [Notice(name, Channel.SLACK, "#media", Audience.ADMINS, occasion)]
    )
    kept = notices.get(tx, name)
    assert kept is not None
    notices.record(tx, kept.id, Delivery(tx.now, 0.18, "delivered", '{"channel":"#media"}', "ok"))
    notices.end(tx, kept.id, NoticeState.DELIVERED)
    return name


if __name__ == "__main__":
    print(*take(Path(sys.argv[1])), sep="\n")
