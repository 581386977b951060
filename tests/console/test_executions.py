"""The list of executions and the page of one, as a browser without scripts gets them."""

import gzip
import json
import re
from dataclasses import replace
from datetime import timedelta
from io import BytesIO
from zipfile import ZipFile

import httpx
import pytest

from barbeque_console.app import create_app
from barbeque_console.events import read_stamp
from barbeque_py.cancel import cancel
from barbeque_py.executions import State
from barbeque_py.ids import new_message_id
from barbeque_py.logs import message_key
from barbeque_py.outcomes import Fate, Reason
from barbeque_py.report import report
from barbeque_py.reports import Progress, Report
from barbeque_py.retry import retry
from barbeque_py.store import Store, apps, limits
from tests.console.rigs import Place, open_place, serve, serve_console, stored

OK = Fate(Reason.EXITED, 0)


def ids_on(page: httpx.Response) -> list[str]:
    assert page.status_code == 200, page.text
    return re.findall(r'class="id" href="/job_executions/([^"]+)"', page.text)


def test_the_newest_execution_stands_first(place: Place, browser: httpx.Client) -> None:
    made = [place.enqueue() for _ in range(3)]
    assert ids_on(browser.get("/executions")) == made[::-1]
    assert ids_on(browser.get("/executions")) == made[::-1]


def test_older_and_newer_lead_over_every_execution_once_and_back(
    place: Place, browser: httpx.Client
) -> None:
    made = [place.enqueue() for _ in range(120)][::-1]
    pages = [browser.get("/executions")]
    while older := re.search(r'href="(\?[^"]+)" rel="next"', pages[-1].text):
        pages.append(browser.get("/executions" + older[1].replace("&amp;", "&")))
    assert [ids_on(page) for page in pages] == [made[:50], made[50:100], made[100:]]
    newer = re.search(r'href="(\?[^"]+)" rel="prev"', pages[2].text)
    assert newer
    back = browser.get("/executions" + newer[1])
    assert ids_on(back) == made[50:100]
    assert 'rel="prev"' in back.text


def test_filters_narrow_the_list_and_stay_in_its_links(place: Place, browser: httpx.Client) -> None:
    encode = [place.enqueue(job="Encode") for _ in range(51)][::-1]
    place.enqueue(job="Thumbnail")
    slow = place.enqueue(job="Thumbnail", queue="slow")
    place.store.write(lambda tx: cancel(tx, slow))
    page = browser.get("/executions?app=&job=Encode&queue=&state=")
    assert ids_on(page) == encode[:50]
    assert "<option selected>Encode</option>" in page.text
    assert re.search(r'href="\?job=Encode&amp;before=\d+" rel="next"', page.text)
    assert ids_on(browser.get("/executions?queue=slow")) == [slow]
    assert ids_on(browser.get("/executions?state=cancelled")) == [slow]
    assert "No execution matches" in browser.get("/executions?state=failed").text


@pytest.mark.parametrize(
    "query",
    ["before=x", "before=99999999999999999999", "after=-1", "top=x", "app=%00", "job=%ff"],
)
def test_a_query_that_makes_no_sense_is_no_error(browser: httpx.Client, query: str) -> None:
    assert browser.get(f"/executions?{query}").status_code == 200


def test_an_empty_console_says_how_to_enqueue_a_first_job(
    browser: httpx.Client, tmp_path_factory: pytest.TempPathFactory
) -> None:
    assert "barbeque enqueue media Encode &#39;{}&#39;" in browser.get("/executions").text
    folder = tmp_path_factory.mktemp("bare")
    with open_place(folder, defined=False) as bare, serve_console(bare) as address:
        assert "barbeque apply -f hello.yaml" in httpx.get(f"{address}/executions").text


def test_the_list_tells_what_needs_attention(place: Place, browser: httpx.Client) -> None:
    quiet = browser.get("/executions").text
    assert "No worker is at work" in quiet
    assert "Paused: " not in quiet
    assert "dead message" not in quiet
    place.see_worker()
    place.bury("{}", "Type is missing")
    place.store.write(lambda tx: apps.pause_queue(tx, "slow"))
    loud = browser.get("/executions").text
    assert "No worker is at work" not in loud
    assert "Paused: <b>slow</b>" in loud
    assert "<b>1</b> dead message could" in loud


def test_the_counts_are_those_of_now(place: Place, browser: httpx.Client) -> None:
    place.enqueue()
    place.settle(place.start(), Fate(Reason.EXITED, 1))
    place.enqueue()
    place.start()
    place.enqueue(queue="slow")
    text = browser.get("/executions").text
    for words in ("queued", "running", "retrying"):
        assert f"<b>1</b> {words}" in text
    assert "<b>0</b> failed in the last hour" in text


def test_the_page_shows_every_attempt_and_the_log_of_the_last(
    place: Place, browser: httpx.Client
) -> None:
    message_id = place.enqueue(message='{"id":9007199254740993}')
    first = Fate(Reason.OUT_OF_MEMORY, 137, "it used more than 512 MiB")
    place.settle(place.start(), first, lines=[stored("first words")])
    place.settle(place.start_again(), OK, lines=[stored("last words")])
    text = browser.get(f"/job_executions/{message_id}").text
    assert "<small>137</small>" in text
    assert "last words" in text
    assert "first words" not in text
    assert '<span class="json-number">9007199254740993</span>' in text
    text = browser.get(f"/job_executions/{message_id}?attempt=1").text
    assert "first words" in text
    assert "ran out of memory, exit code <b>137</b>" in text
    assert "killed (SIGKILL)" in text
    assert "it used more than 512 MiB" in text


def test_a_message_is_a_tree_in_which_nothing_is_lost_and_nothing_is_let_in(
    place: Place, browser: httpx.Client
) -> None:
    odd = '{"<b>a</b>":[1.10,{"x":null},[]],"a":1,"a":2,"s":"</script>"}'
    text = browser.get(f"/job_executions/{place.enqueue(message=odd)}").text
    assert text.count('<span class="json-key">a</span>') == 2
    assert "&lt;b&gt;a&lt;/b&gt;" in text
    assert '<span class="json-number">1.10</span>' in text
    assert '<span class="json-word">null</span>' in text
    assert "&#34;&lt;/script&gt;&#34;" in text
    for large in ("[" * 40 + "]" * 40, "[" + ",".join(["0"] * 2_000) + "]"):
        text = browser.get(f"/job_executions/{place.enqueue(message=large)}").text
        assert '<pre class="message"' in text
        assert 'class="json"' not in text


def test_a_bundle_has_the_facts_the_message_and_every_log(
    place: Place, browser: httpx.Client
) -> None:
    message_id = place.enqueue(message='{"a":1}')
    place.settle(place.start(), Fate(Reason.EXITED, 7), lines=[stored("first words")])
    place.settle(place.start_again(), OK, lines=[stored("last words")])
    place.tell(message_id, "no")
    answer = browser.get(f"/job_executions/{message_id}/bundle.zip")
    assert answer.headers["content-disposition"] == f'attachment; filename="{message_id}.zip"'
    with ZipFile(BytesIO(answer.content)) as bundle:
        assert bundle.testzip() is None
        assert bundle.read("message.json") == b'{"a":1}'
        facts = json.loads(bundle.read("execution.json"))
        logs = [gzip.decompress(bundle.read(f"logs/{number}.log.gz")) for number in (1, 2)]
    assert facts["execution"]["message_id"] == message_id
    assert [each["exit_code"] for each in facts["attempts"]] == [7, 0]
    assert "canary" not in json.dumps(facts)
    assert [text.split(b" ", 2)[2] for text in logs] == [b"first words\n", b"last words\n"]


def test_the_page_shows_who_was_told(place: Place, browser: httpx.Client) -> None:
    message_id = place.enqueue()
    assert ">Notices</h2>" not in browser.get(f"/job_executions/{message_id}").text
    place.tell(message_id, "Slack says no_service: <b>make a new one</b>")
    text = browser.get(f"/job_executions/{message_id}").text
    assert ">Notices</h2>" in text
    assert "email ann@example.com" in text
    assert "slack https://hooks.slack.com/***" in text
    assert "no_service: &lt;b&gt;make a new one" in text
    assert "canary" not in text
    japanese = browser.get(f"/job_executions/{message_id}", headers={"accept-language": "ja"}).text
    assert "<span>拒否<small>" in japanese


def test_other_ids_of_an_execution_lead_to_its_page(place: Place, browser: httpx.Client) -> None:
    message_id = place.enqueue()
    place.settle(place.start(), OK)
    retry_id = new_message_id()
    place.store.write(lambda tx: retry(tx, message_id, retry_id=retry_id))
    for other in (retry_id, "1"):
        answer = browser.get(f"/job_executions/{other}")
        assert answer.status_code == 303
        assert answer.headers["location"] == f"/job_executions/{message_id}"


@pytest.mark.parametrize(
    "path",
    ["/nothing", "/job_executions/x", "/job_executions/99", "/static/nothing.js", "/queues/x"],
)
def test_what_is_not_there_is_a_page_that_says_so(browser: httpx.Client, path: str) -> None:
    answer = browser.get(path)
    assert answer.status_code == 404
    assert "All executions" in answer.text


def test_an_unknown_id_is_told_apart_from_a_dead_and_a_cancelled_one(
    place: Place, browser: httpx.Client
) -> None:
    unseen, dead = new_message_id(), new_message_id()
    assert "reload this page" in browser.get(f"/job_executions/{unseen}").text
    place.store.write(lambda tx: cancel(tx, dead))
    answer = browser.get(f"/job_executions/{dead}")
    assert answer.status_code == 404
    assert "cancelled before a worker saw it" in answer.text
    assert browser.get(f"/job_executions/{dead}?attempt=1").status_code == 404


def test_an_attempt_that_is_not_there_is_not_found(place: Place, browser: httpx.Client) -> None:
    message_id = place.enqueue()
    assert browser.get(f"/job_executions/{message_id}?attempt=2").status_code == 404


def test_a_waiting_execution_says_what_it_waits_for(place: Place, browser: httpx.Client) -> None:
    later = place.enqueue(wait=timedelta(hours=2))
    ready, paused = place.enqueue(), place.enqueue(queue="slow")
    place.store.write(lambda tx: apps.pause_queue(tx, "slow"))
    assert "It is due at" in browser.get(f"/job_executions/{later}").text
    assert "No worker has reported in" in browser.get(f"/job_executions/{ready}").text
    assert "The queue slow is paused since" in browser.get(f"/job_executions/{paused}").text


def test_a_full_limit_names_who_holds_it_with_a_link(place: Place, browser: httpx.Client) -> None:
    holder, held = place.enqueue(), place.enqueue()
    place.start()
    place.see_worker()
    place.store.write(lambda tx: limits.set_max(tx, "queue:default", 1))
    text = browser.get(f"/job_executions/{held}").text
    assert "The limit of the queue default is full: 1 of 1 runs" in text
    assert f'href="/job_executions/{holder}"' in text


def test_a_large_message_is_cut_and_whole_behind_its_link(
    place: Place, browser: httpx.Client
) -> None:
    whole = '{"text":"' + "x" * 100_000 + 'end"}'
    key = message_key("media", "Thumbnail", "large")
    place.logs.put(key, [whole.encode()])
    message_id = place.enqueue(message=None, key=key)
    page = browser.get(f"/job_executions/{message_id}")
    assert "the whole message" in page.text
    assert len(page.text) < 40_000
    raw = browser.get(f"/job_executions/{message_id}/message.txt")
    assert raw.text == whole
    assert raw.headers["content-type"] == "text/plain; charset=utf-8"


def test_every_link_begins_with_the_prefix_it_is_served_under(place: Place) -> None:
    message_id = place.enqueue()
    place.settle(place.start(), OK, lines=[stored("x")] * 600)
    with serve_console(place, prefix="/tools/barbeque") as address:
        for path in ("/executions", f"/job_executions/{message_id}", "/queues", "/dead_messages"):
            page = httpx.get(address + path)
            assert page.status_code == 200
            links = re.findall(r'(?:href|src|action|data-source)="([^"#?][^"]*)"', page.text)
            assert links
            assert all(link.startswith("/tools/barbeque/") for link in links)
        moved = httpx.get(f"{address}/job_executions/1")
        assert moved.headers["location"] == f"/tools/barbeque/job_executions/{message_id}"
        style = re.search(r'href="/tools/barbeque(/static/console-\w+.css)"', page.text)
        assert style
        assert httpx.get(address + style[1]).status_code == 200


def test_a_database_that_is_away_is_a_503_that_says_what_to_do(place: Place) -> None:
    away = Store(f"sqlite:///{place.home}/nowhere/secret.db")
    with serve(create_app(replace(place.parts, store=away))) as address:
        for path in ("/executions", "/queues", f"/job_executions/{new_message_id()}"):
            answer = httpx.get(address + path)
            assert answer.status_code == 503
            assert "barbeque check" in answer.text
            assert "secret.db" not in answer.text
            assert "The database can" in answer.text
            assert "Jobs that run go on" in answer.text
            assert answer.headers["retry-after"] == "5"
        since = re.findall(r"Missed since [\d:]+ UTC", answer.text)
        assert since, "it says since when"
        assert since[0] in httpx.get(address + "/executions").text, "it stays the same"
        japanese = httpx.get(address + "/queues", headers={"accept-language": "ja"}).text
        assert "いまデータベースを使えません" in japanese
    away.close()


def test_every_state_has_its_word_and_its_picture(place: Place, browser: httpx.Client) -> None:
    place.enqueue()
    text = browser.get("/executions").text
    assert re.search(r'class="state queued"><svg[^>]*aria-hidden="true".*?</svg>queued<', text)
    for state in State:
        assert f"<option>{state}</option>" in text


def test_progress_and_result_are_shown_and_change_the_page(
    place: Place, browser: httpx.Client
) -> None:
    message_id = place.enqueue()
    attempt = place.start()
    page = f"/job_executions/{message_id}"
    before = read_stamp(place.store, "execution", message_id)
    told = Report(Progress(42.5, "<b>half</b>"), '{"pages":["<i>"]}')
    place.store.write(lambda tx: report(tx, {attempt: told}))
    assert read_stamp(place.store, "execution", message_id) != before
    text = browser.get(page).text
    assert '<progress max="100" value="42.5">' in text
    assert "42.5% &lt;b&gt;half&lt;/b&gt;" in text
    assert "{&#34;pages&#34;:[&#34;&lt;i&gt;&#34;]}" in text
