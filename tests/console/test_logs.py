"""A log's page without scripts, and what its viewer is made of: stretches, searches, events."""

import gzip
import json
import re
import shutil
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest

from barbeque_console import patience
from barbeque_py.ids import AttemptId
from barbeque_py.logs import live_key
from barbeque_py.logstores.directory import DirectoryLogStore
from barbeque_py.outcomes import Fate, Reason
from barbeque_py.settle import settle
from barbeque_py.store import attempts
from tests.console.rigs import GrowingLog, Place, serve_console, stored

OK = Fate(Reason.EXITED, 0)
BAD = Fate(Reason.EXITED, 1)


def numbers_in(html: str) -> list[int]:
    return [int(number) for number in re.findall(r'data-n="(\d+)"', html)]


def numbers_on(page: httpx.Response) -> list[int]:
    assert page.status_code == 200, page.text
    return numbers_in(page.text)


def ended(place: Place, lines: list[bytes], fate: Fate = OK) -> str:
    """Return the path of the log of an execution that has ended."""
    message_id = place.enqueue()
    place.settle(place.start(), fate, lines=lines)
    return f"/job_executions/{message_id}/log"


def ask(browser: httpx.Client, path: str, **query: Any) -> Any:
    answer = browser.get(path, params={"attempt": 1, **query})
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_the_page_opens_at_the_end_and_any_stretch_is_a_link_away(
    place: Place, browser: httpx.Client
) -> None:
    log = ended(place, [stored(f"line {n}", number=n) for n in range(2_345)])
    tail = browser.get(log)
    assert numbers_on(tail) == list(range(2_146, 2_346))
    assert numbers_on(browser.get(log.removesuffix("/log"))) == list(range(2_146, 2_346))
    assert 'id="L2345"' in tail.text
    assert "2,146\N{EN DASH}2,345 / 2,345" in tail.text
    seen = numbers_on(tail)
    while older := re.search(r'href="([^"]*)">← Older', tail.text):
        tail = browser.get(older[1].replace("&amp;", "&"))
        seen = numbers_on(tail) + seen
    assert sorted({*seen}) == list(range(1, 2_346))
    middle = browser.get(log, params={"line": 1_300})
    assert numbers_on(middle) == list(range(1_200, 1_400))
    assert re.search(r'href="[^"]*line=1500">Newer', middle.text)
    beyond = browser.get(log, params={"line": 999_999_999_999})
    assert numbers_on(beyond) == []
    assert "End" in beyond.text or "Older" in beyond.text


def test_what_has_failed_opens_at_its_first_error(place: Place, browser: httpx.Client) -> None:
    lines = [stored("calm", number=n) for n in range(3_000)]
    lines[1_234] = stored("RuntimeError: no", number=1_234, stream="err")
    message_id = place.enqueue()
    place.settle(place.start(), BAD, lines=lines)
    page = browser.get(f"/job_executions/{message_id}/log")
    assert 'data-line="1235"' in page.text
    assert numbers_on(page)[0] == 1_135
    assert 'class="ll err e" id="L1235"' in page.text


def test_a_stretch_is_asked_for_by_number_and_kept_where_it_never_changes(
    place: Place, browser: httpx.Client
) -> None:
    log = ended(place, [stored(f"line {n}", number=n) for n in range(2_345)])
    answer = browser.get(f"{log}/lines?attempt=1&first=1000&count=200")
    facts = answer.json()
    assert numbers_in(facts["html"]) == list(range(1_001, 1_201))
    assert (facts["first"], facts["next"], facts["total"]) == (1_000, 1_200, 2_345)
    assert answer.headers["cache-control"] == "private, max-age=3600"
    tail = browser.get(f"{log}/lines?attempt=1&first=-10&count=200")
    assert numbers_in(tail.json()["html"]) == list(range(2_336, 2_346))
    assert tail.headers["cache-control"] == "no-store"
    marked = ask(browser, f"{log}/lines", first=7, count=1, q="NE 7")
    assert "li<mark>ne 7</mark>" in marked["html"]
    for wrong in ("attempt=2", "attempt=x", "first=0", "attempt=1&count=0", "attempt=1&count=9999"):
        assert browser.get(f"{log}/lines?{wrong}").status_code == 404


def test_a_search_streams_what_it_finds_with_scripts_and_without(
    place: Place, browser: httpx.Client
) -> None:
    streams = ("err" if n % 50 == 0 else "out" for n in range(5_000))
    lines = [stored(f"line {n}", number=n, stream=each) for n, each in enumerate(streams)]
    log = ended(place, lines)
    answer = browser.get(f"{log}/search", params={"attempt": 1, "q": r"^line \d*77$", "regex": 1})
    parts = [json.loads(line) for line in answer.text.splitlines()]
    assert parts.pop() == {"done": True}
    assert [hit for part in parts for hit in part["hits"]] == list(range(77, 5_000, 100))
    answer = browser.get(f"{log}/search", params={"attempt": 1, "stream": "err", "rows": 30})
    parts = [json.loads(line) for line in answer.text.splitlines()][:-1]
    assert [hit for part in parts for hit in part["hits"]] == list(range(0, 1_500, 50))
    assert (parts[-1]["full"], parts[-1]["next"]) == (True, 1_451)
    assert numbers_in(parts[0]["html"])[:2] == [1, 51]
    refusals: list[dict[str, Any]] = [{"q": "(", "regex": 1}, {"q": ""}, {"q": "x" * 501}]
    for query in refusals:
        refused = browser.get(f"{log}/search", params={"attempt": 1, **query})
        assert refused.status_code == 400
        assert "look" in refused.text
        marked = browser.get(f"{log}/lines", params={"attempt": 1, **query})
        assert marked.status_code == (400 if query["q"] else 200)
    page = browser.get(log, params={"attempt": 1, "q": "line", "case": ""})
    assert numbers_on(page) == list(range(1, 201))
    more = re.search(r'href="([^"]*from=201[^"]*)">More', page.text)
    assert more
    assert numbers_on(browser.get(more[1].replace("&amp;", "&")))[0] == 201
    assert "No line matches" in browser.get(log, params={"attempt": 1, "q": "nothing"}).text
    assert "no pattern" in browser.get(log, params={"attempt": 1, "q": "(", "regex": 1}).text


def test_marks_times_whole_lines_and_copies(place: Place, browser: httpx.Client) -> None:
    lines = [stored("::group::Build"), stored("\x1b[31man error\x1b[0m", number=100)]
    lines += [stored("::endgroup::", number=2_000), stored("\x7fELF\0\0", number=2_100)]
    lines += [stored("a" * 70_000, number=2_200, stream="out+"), stored("b", number=2_201)]
    log = ended(place, lines)
    marks = ask(browser, f"{log}/marks")
    assert (marks["errors"], marks["error_lines"], marks["whole"]) == ([1], 1, True)
    [[line, end, name, _, ended_at, folded]] = marks["groups"]
    assert (line, end, name, ended_at[:19], folded) == (0, 3, "Build", "2026-11-21T20:01:14", False)
    assert ask(browser, f"{log}/at", time="20:01")["line"] == 2
    assert ask(browser, f"{log}/at", time="2026-11-21 20:00:03.7")["line"] == 1
    assert ask(browser, f"{log}/at", time="23:59:59")["line"] == 5
    assert ask(browser, f"{log}/at", time="25:00")["line"] is None
    assert ask(browser, f"{log}/at", time="soon")["line"] is None
    whole = browser.get(f"{log}/line?attempt=1&line=5")
    assert whole.text == "a" * 70_000 + "b"
    assert whole.headers["content-type"] == "text/plain; charset=utf-8"
    assert "7f 45 4c 46 00 00" in browser.get(f"{log}/line?attempt=1&line=4").text
    assert browser.get(f"{log}/line?attempt=1&line=7").status_code == 404
    assert browser.get(f"{log}/text?attempt=1&first=1&count=2").text == "an error\n::endgroup::\n"


def test_the_files_are_what_the_job_wrote_and_nothing_a_browser_would_run(
    place: Place, browser: httpx.Client
) -> None:
    raw = "<script>\x1b[31m\udcff"
    log = ended(place, [stored(raw), stored("end", stream="err+")])
    answer = browser.get(f"{log}.txt?attempt=1")
    assert answer.content == b"<script>\x1b[31m\xff\nend"
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    name = log.split("/")[2]
    assert answer.headers["content-disposition"] == f'attachment; filename="{name}-1.log"'
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert browser.get(f"{log}.txt?attempt=1&stream=err").text == "end"
    packed = browser.get(f"{log}.gz?attempt=1")
    assert packed.headers["content-disposition"] == f'attachment; filename="{name}-1.log.gz"'
    assert packed.content[:2] == b"\x1f\x8b"
    for wrong in ("attempt=2", "attempt=x", ""):
        assert browser.get(f"{log}.txt?{wrong}").status_code == 404


def events(answer: httpx.Response) -> Iterator[tuple[str, str, Any]]:
    """Yield the events' names, ids and data."""
    for event in answer.iter_text():
        for each in filter(None, event.split("\n\n")):
            facts = dict(line.split(": ", 1) for line in each.split("\n") if line[0] != ":")
            if facts:
                yield facts.get("event", ""), facts["id"], json.loads(facts["data"])


def test_a_follower_that_is_cut_off_goes_on_without_gap_or_repeat(
    place: Place, browser: httpx.Client
) -> None:
    message_id = place.enqueue()
    attempt = place.start()
    log = f"/job_executions/{message_id}/log"
    source = GrowingLog()
    source.write(*(f"line {n}" for n in range(2_500)))
    source.end()
    shipment = place.shipment(attempt, source)
    shipment.run()
    place.store.write(lambda tx: settle(tx, attempt, OK))
    place.record_seal(attempt, shipment)
    shipment.close()
    seen: list[int] = []
    last, following = "", 0
    while last != "end":
        headers = {"last-event-id": last} if last else {}
        with browser.stream("GET", f"{log}/stream?attempt=1", headers=headers) as answer:
            kind, last, facts = next(events(answer))
            if kind == "end":
                break
            rows = numbers_in(facts["html"])
            assert len(rows) <= 200
            assert rows[-1] == facts["next"]
            assert facts["first"] >= following
            seen += range(following + 1, facts["next"] + 1)
            following = facts["next"]
    assert seen == list(range(1, 2_501))
    for wrong in ("2.7", "x"):
        refused = browser.get(f"{log}/stream?attempt=1", headers={"last-event-id": wrong})
        assert refused.status_code == 400


def test_a_stream_ends_so_that_rights_are_looked_at_anew(
    place: Place, browser: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("barbeque_console.log_events._LONGEST", 0.0)
    message_id = place.enqueue()
    text = b"".join(stored(each) + b"\n" for each in ("one", "two"))
    place.logs.put(live_key(place.prefix(place.start()), 0), [gzip.compress(text)])
    answer = browser.get(f"/job_executions/{message_id}/log/stream?attempt=1")
    assert [facts["next"] for _, _, facts in events(answer)] == [2]


def seal_row(place: Place, attempt: AttemptId, **facts: Any) -> None:
    place.store.write(lambda tx: settle(tx, attempt, OK))
    place.store.write(lambda tx: attempts.record_seal(tx, attempt, facts))


def test_a_log_says_why_there_is_nothing_to_see(place: Place, browser: httpx.Client) -> None:
    assert "wrote nothing" in browser.get(ended(place, [])).text
    message_id = place.enqueue()
    page = browser.get(f"/job_executions/{message_id}/log")
    assert "No attempt has been made yet" in page.text
    attempt = place.start()
    log = f"/job_executions/{message_id}/log"
    assert "has written nothing yet" in browser.get(log).text
    seal_row(place, attempt, log_lines=7, log_bytes=70, log_truncated=True)
    gone = browser.get(log).text
    assert "not in the log store" in gone
    assert "It had 7 lines" in gone
    assert "met its limit" in gone
    shown = replace(place.parts, keep_logs=timedelta(0), logs_url="s3://bucket/logs")
    with serve_console(replace(place, parts=shown)) as address:
        page = httpx.get(f"{address}{log}")
    assert "is not kept any more" in page.text
    assert (
        f"aws s3 cp &#39;s3://bucket/logs/media/Thumbnail/{message_id}/1/log.gz&#39;" in page.text
    )


def test_a_log_store_that_is_away_leaves_the_rest_of_the_page(
    place: Place, browser: httpx.Client
) -> None:
    log = ended(place, [stored("x")])
    shutil.rmtree(place.home / "logs")
    (place.home / "logs").symlink_to("logs")
    page = browser.get(log.removesuffix("/log"))
    assert page.status_code == 200
    assert "The log store can't be read right now" in page.text
    assert "Attempts" in page.text
    assert str(place.home) not in page.text
    for part in ("/lines", "/marks", ".txt", ".gz"):
        assert browser.get(f"{log}{part}?attempt=1").status_code == 503


def test_what_failed_shows_its_last_lines_whichever_attempt_is_chosen(
    place: Place, browser: httpx.Client
) -> None:
    message_id = place.enqueue()
    place.settle(place.start(), BAD, lines=[stored("first try")])
    lines = [stored(f"line {n} <b>", number=n) for n in range(1, 30)]
    place.settle(place.start_again(), BAD, lines=[*lines, stored("\x1b[31mthe end\x1b[0m")])
    page = browser.get(f"/job_executions/{message_id}?attempt=1").text
    box = page[page.index('id="failure"') : page.index('class="facts"')]
    assert re.findall(r'data-n="(\d+)"', box) == [str(n) for n in range(11, 31)]
    assert "line 29 &lt;b&gt;" in box
    assert '<span class="c1">the end' in box
    assert f"/job_executions/{message_id}/log?attempt=2&amp;line=30#L30" in box
    place.settle(place.start_again(), OK, lines=[stored("it went")])
    assert 'id="failure"' not in browser.get(f"/job_executions/{message_id}").text


def test_nobody_waits_for_a_log_store_that_hangs(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, over = ended(place, [stored("x")], fate=BAD), threading.Event()

    class Hanging(DirectoryLogStore):
        def names(self, prefix: str) -> list[str]:
            over.wait()
            return super().names(prefix)

    monkeypatch.setattr(patience, "PATIENCE", 0.1)
    parts = replace(place.parts, logs=Hanging(place.home / "logs"))
    try:
        with serve_console(replace(place, parts=parts)) as address:
            page = httpx.get(address + log.removesuffix("/log"), timeout=60)
    finally:
        over.set()
    assert page.status_code == 200
    assert "The log store can't be read right now" in page.text
    assert "How its log ends can't be read right now" in page.text


def test_attempts_stand_side_by_side(place: Place, browser: httpx.Client) -> None:
    message_id = place.enqueue()
    place.settle(place.start(), BAD, lines=[stored("first try")])
    place.settle(place.start_again(), OK, lines=[stored("second try")])
    page = browser.get(f"/job_executions/{message_id}/log/compare").text
    assert page.index("first try") < page.index("second try")
    assert page.count("<log-view") == 2
    again = browser.get(f"/job_executions/{message_id}/log/compare?left=2&right=1").text
    assert again.index("second try") < again.index("first try")
    assert browser.get(f"/job_executions/{message_id}/log/compare?left=3").status_code == 404
    assert browser.get("/job_executions/nothing/log").status_code == 404
