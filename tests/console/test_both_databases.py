"""What the console asks, on each database."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import httpx
import pytest

from barbeque_py.executions import State
from barbeque_py.outcomes import Fate, Reason
from barbeque_py.store import Store, editions, queries
from barbeque_py.store import executions as rows
from tests.console.releases import fill_releases
from tests.console.rigs import define, place_on, serve_console, stored

OURS = {"sec-fetch-site": "same-origin"}


def test_every_page_is_shown_over_each_database(store: Store, tmp_path: Path) -> None:
    store.write(define)
    with place_on(store, tmp_path) as place, serve_console(place) as address:
        message_id = place.enqueue()
        place.settle(place.start(), Fate(Reason.EXITED, 0), lines=[stored("x")])
        place.bury("{}", "Type is missing")
        fill_releases(place)
        for path in (
            "/executions",
            f"/job_executions/{message_id}",
            "/queues",
            "/dead_messages",
            "/apps",
            "/apps/media",
            "/jobs/media/Encode/edit",
        ):
            assert httpx.get(address + path).status_code == 200
        assert httpx.get(f"{address}/apps/media/releases/2").text.count("/job_executions/") >= 6
        assert "edition 2" in httpx.get(f"{address}/jobs/media/Encode/definition").text
        assert message_id in httpx.get(f"{address}/executions?state=succeeded&app=media").text


def test_counts_end_where_people_stop_counting(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.write(define)
    monkeypatch.setattr(queries, "MOST_COUNTED", 3)
    with place_on(store, tmp_path) as place, serve_console(place) as address:
        numbers = [place.enqueue() for _ in range(6)]
        assert "<b>3+</b> queued" in httpx.get(f"{address}/executions").text
        failed = place.store.read(lambda tx: rows.by_message_id(tx, numbers[0]))
        assert failed is not None
        place.start()
        place.store.write(
            lambda tx: rows.move(tx, failed.id, State.FAILED, set_={"finished_at": tx.now})
        )
        assert "<b>1</b> failed in the last hour" in httpx.get(f"{address}/executions").text


def test_of_two_who_save_at_once_one_is_told_of_the_other(store: Store, tmp_path: Path) -> None:
    store.write(define)
    with place_on(store, tmp_path) as place, serve_console(place) as address:
        page, base, meet = f"{address}/jobs/media/Encode/edit", "command:\n- run\n", Barrier(2)

        def save(text: str) -> int:
            meet.wait(60)
            form = {"text": text, "base": base, "step": "save"}
            return httpx.post(page, data=form, headers=OURS | {"origin": address}).status_code

        for turn in range(5):
            texts = [f"command:\n- {who}{turn}\n" for who in "ab"]
            with ThreadPoolExecutor() as pool:
                answers = list(pool.map(save, texts))
            assert sorted(answers) == [303, 409]
            base = texts[answers.index(303)]
            kept = store.read(lambda tx: editions.newest(tx, "media", "Encode"))
            assert kept is not None
            assert (kept.text, kept.number) == (base, turn + 2)
