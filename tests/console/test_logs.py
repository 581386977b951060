"""A log on the page: its end, any stretch of it, what is new, and all of it as a file."""

import re
import shutil

import httpx

from barbeque_py.ids import AttemptId
from barbeque_py.outcomes import Fate, Reason
from tests.console.rigs import GrowingLog, Place, stored

OK = Fate(Reason.EXITED, 0)


def numbers_on(page: httpx.Response) -> list[int]:
    assert page.status_code == 200, page.text
    return [int(number) for number in re.findall(r'id="L(\d+)"', page.text)]


def ended(place: Place, lines: list[bytes]) -> str:
    message_id = place.enqueue()
    place.settle(place.start(), OK, lines=lines)
    return message_id


def test_the_page_opens_at_the_end_and_any_stretch_is_a_link_away(
    place: Place, browser: httpx.Client
) -> None:
    page = f"/job_executions/{ended(place, [stored(f'line {n}') for n in range(2_345)])}"
    tail = browser.get(page)
    assert numbers_on(tail) == list(range(1_846, 2_346))
    assert "lines 1,846\N{EN DASH}2,345 of 2,345" in tail.text
    assert f'href="{page}?attempt=1&amp;from=1346#log">← Earlier' in tail.text
    middle = browser.get(f"{page}?from=1346")
    assert numbers_on(middle) == list(range(1_346, 1_846))
    assert f'href="{page}?attempt=1&amp;from=1846#log">Later' in middle.text
    assert numbers_on(browser.get(f"{page}?from=1846")) == list(range(1_846, 2_346))
    assert "Earlier" not in browser.get(f"{page}?from=1").text


def test_numbers_beyond_the_log_are_an_empty_stretch(place: Place, browser: httpx.Client) -> None:
    page = f"/job_executions/{ended(place, [stored('only')])}"
    for number in ("2", "999999999999999999"):
        answer = browser.get(f"{page}?from={number}")
        assert numbers_on(answer) == []
        assert "There are no lines here" in answer.text


def test_lines_of_the_error_stream_are_marked_in_words(place: Place, browser: httpx.Client) -> None:
    page = browser.get(f"/job_executions/{ended(place, [stored('oh', stream='err')])}")
    assert '<div class="line err" id="L1"><a href="#L1">1</a><i>err</i>' in page.text


def test_a_log_that_wrote_nothing_says_so(place: Place, browser: httpx.Client) -> None:
    assert "It wrote nothing" in browser.get(f"/job_executions/{ended(place, [])}").text


def test_a_very_long_line_is_cut_on_the_page_and_whole_in_the_file(
    place: Place, browser: httpx.Client
) -> None:
    page = f"/job_executions/{ended(place, [stored('x' * 60_000)])}"
    assert "56,000 more characters are in the download" in browser.get(page).text
    assert browser.get(f"{page}/log.txt?attempt=1").text == "x" * 60_000 + "\n"


def test_the_file_is_what_the_job_wrote_and_nothing_a_browser_would_run(
    place: Place, browser: httpx.Client
) -> None:
    raw = "<script>\x1b[31m\udcff"
    message_id = ended(place, [stored(raw), stored("end", stream="err+")])
    answer = browser.get(f"/job_executions/{message_id}/log.txt?attempt=1")
    assert answer.content == b"<script>\x1b[31m\xff\nend"
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    disposition = f'attachment; filename="{message_id}-1.log"'
    assert answer.headers["content-disposition"] == disposition
    assert answer.headers["x-content-type-options"] == "nosniff"
    for wrong in ("attempt=2", "attempt=x", ""):
        gone = browser.get(f"/job_executions/{message_id}/log.txt?{wrong}")
        assert gone.status_code == 404


def news(browser: httpx.Client, attempt: AttemptId, first: int) -> dict[str, object]:
    message_id = attempt[:36]
    answer = browser.get(f"/job_executions/{message_id}/log.json?attempt=1&first={first}")
    assert answer.status_code == 200
    facts = answer.json()
    assert isinstance(facts, dict)
    return facts


def test_a_follower_gets_every_line_once_and_learns_of_the_end(
    place: Place, browser: httpx.Client
) -> None:
    place.enqueue()
    attempt = place.start()
    source = GrowingLog()
    source.write(*(f"line {n}" for n in range(1_200)))
    source.end()
    before = news(browser, attempt, 0)
    assert (before["lines"], before["live"], before["open"]) == ([], True, True)
    place.settle(attempt, OK, lines=source.lines)
    seen: list[str] = []
    while lines := (found := news(browser, attempt, len(seen)))["lines"]:
        assert isinstance(lines, list)
        seen += [line["text"] for line in lines]
    assert seen == [f"line {n}" for n in range(1_200)]
    assert (found["live"], found["open"]) == (False, False)
    assert found["stamp"] != before["stamp"]


def test_a_log_store_that_is_away_leaves_the_rest_of_the_page(
    place: Place, browser: httpx.Client
) -> None:
    message_id = ended(place, [stored("x")])
    shutil.rmtree(place.home / "logs")
    (place.home / "logs").symlink_to("logs")
    answer = browser.get(f"/job_executions/{message_id}")
    assert answer.status_code == 200
    assert "The log store can't be read" in answer.text
    assert "Attempts" in answer.text
    assert str(place.home) not in answer.text
    assert browser.get(f"/job_executions/{message_id}/log.txt?attempt=1").status_code == 503
