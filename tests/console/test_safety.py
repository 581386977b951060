"""What others wrote is shown, never obeyed."""

import random
import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import httpx
import pytest

from barbeque_console.app import create_app
from barbeque_console.words import plain
from barbeque_py.outcomes import Fate, Reason
from barbeque_py.store import executions as rows
from tests.console.rigs import Place, serve, stored

SCRIPT = "<script>alert(1)</script><img src=x onerror=alert(1)>"
HOSTILE = [
    SCRIPT,
    '"><svg onload=alert(1)>',
    "</div></pre></span><style>*{display:none}</style>",
    "{{ 7*7 }}{% raw %}",
    "\x1b]8;;javascript:alert(1)\x07click\x1b]8;;\x07",
    "\x1b[31mred\x1b[0m \x1bPq#0;2\x1b\\ \x9b31m",
    "\u202eevil\u2066 \u200b",
    "&lt;b&gt; &amp;",
]


class Tags(HTMLParser):
    """Gathers the tags and the attributes of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.attributes: set[str] = set()
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag == "script":
            assert [name for name, _ in attrs if name != "blocking"] == ["src", "defer"]

    def handle_data(self, data: str) -> None:
        self.text += data


def assert_harmless(page: str) -> Tags:
    tags = Tags(page)
    assert not tags.names & {"style", "iframe", "object", "embed", "base"}
    assert not {name for name in tags.attributes if name.startswith("on") or name == "style"}
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e]", page)
    return tags


def test_hostile_lines_messages_and_reasons_stay_text(place: Place, browser: httpx.Client) -> None:
    message_id = place.enqueue(message='{"x":"<script>alert(1)</script>\\u202e\\u0007"}')
    fate = Fate(Reason.EXITED, 1, SCRIPT + "\x1b[2J")
    lines = [stored(text, number=n, stream="err") for n, text in enumerate(HOSTILE)]
    place.settle(place.start(), fate, lines=lines)
    number = 1
    place.store.write(lambda tx: rows.note(tx, number, SCRIPT))
    place.bury(SCRIPT + '{"a":"\x1b[31m"}', SCRIPT)
    tags = assert_harmless(browser.get(f"/job_executions/{message_id}").text)
    assert SCRIPT in tags.text
    assert "{{ 7*7 }}{% raw %}" in tags.text
    assert "\ufffdevil" in tags.text
    assert "click" in tags.text
    assert "javascript:" not in tags.text
    assert SCRIPT in assert_harmless(browser.get("/dead_messages").text).text


def test_hostile_names_and_queries_stay_text(place: Place, browser: httpx.Client) -> None:
    message_id = place.enqueue(job='"><b onclick=x>', queue="<i>")
    for path in (
        f"/job_executions/{message_id}",
        "/executions",
        f"/search?q={SCRIPT}",
        f"/executions?app={SCRIPT}&job=%22%3E%3Cb+onclick=x%3E",
        f"/{SCRIPT}",
        f"/job_executions/{message_id}?notice={SCRIPT}",
        "/queues",
    ):
        assert_harmless(browser.get(path).text)


def test_a_thousand_random_texts_become_harmless() -> None:
    chance = random.Random(7)
    alphabet = "ab <>&\"'\x1b[]0;1mP\\\x07\x9b\r\n\t\x00\u202e\ud800\x1b\x1b"
    for _ in range(1000):
        text = "".join(chance.choices(alphabet, k=60))
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e\ud800]", plain(text))


def test_a_line_that_redraws_itself_shows_its_last_state() -> None:
    assert plain("10 %\r50 %\r100 %") == "100 %"
    assert plain("done\r") == "done"
    assert plain("\x1b[32mgreen\x1b[0m and \x1b]0;title\x07plain") == "green and plain"


@pytest.mark.parametrize(
    "path", ["/", "/queues", "/nothing", "/static/console.js", "/job_executions/{id}/message.txt"]
)
def test_every_answer_has_the_headers_of_safety(
    place: Place, browser: httpx.Client, path: str
) -> None:
    headers = browser.get(path.format(id=place.enqueue())).headers
    policy = headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; ")
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["cache-control"]


def test_pages_are_not_kept_and_static_files_are(browser: httpx.Client) -> None:
    page = browser.get("/executions")
    assert page.headers["cache-control"] == "no-store"
    script = re.search(r'src="(/static/console-\w+\.js)"', page.text)
    assert script
    assert "immutable" in browser.get(script[1]).headers["cache-control"]


def test_a_page_that_fails_is_a_500_without_its_reason(place: Place) -> None:
    broken: Any = replace(place.parts)
    object.__setattr__(broken, "store", None)
    with serve(create_app(broken)) as address:
        answer = httpx.get(f"{address}/executions")
    assert answer.status_code == 500
    assert "NoneType" not in answer.text
    assert "its log says more" in answer.text
    assert "content-security-policy" in answer.headers


def test_other_names_of_the_host_are_refused_where_names_are_known(place: Place) -> None:
    known = replace(place.parts, allowed_hosts=frozenset({"127.0.0.1"}), host_url="https://b.test")
    with serve(create_app(known)) as address:
        for host, status in (("evil.example", 400), ("b.test", 200), ("127.0.0.1:1", 200)):
            assert httpx.get(f"{address}/queues", headers={"host": host}).status_code == status
