"""Whatever a job writes, a row of its log is text, links and classes of ours."""

import random
import re
from html.parser import HTMLParser

import pytest

from barbeque_console.log_lines import LogAddress, clean, draw_row, draw_rows, is_binary, pieces
from barbeque_py.log_search import Pattern, Query
from barbeque_py.logs import Line

ADDRESS = LogAddress("/job_executions/id/log", 1)
SAFE = {
    "div": {"class", "id", "data-n"},
    "a": {"class", "href", "target", "rel"},
    "span": {"class", "title"},
    "i": set(),
    "em": {"class", "title"},
    "mark": set(),
}
_CLASS = re.compile(
    r"(?:|ll|err|e|ln|at|lt|nn|bo|di|it|un|iv|st|[ck](?:x|\d|1[0-5])|[rgbRGB][\da-f]| )*"
)
HIDDEN = re.compile("[\0-\x08\x0a-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069]")
HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '"><svg/onload=alert(1)>',
    "</span></div><style>*{display:none}</style>",
    "javascript:alert(1)",
    'https://x"onmouseover=alert(1)//',
    "http://a.example/?q='><b>&amp;#x27;",
    "https://a.example/\u202egnp.exe",
    "\x1b]8;;javascript:alert(1)\x07click\x1b]8;;\x07",
    "\x1b[31;1;4;38;5;201;48;2;1;2;3m",
    "\x1b[38;5m\x1b[38;2;9m\x1b[;;;m\x1b[999999999999999999999m",
    "\x1b[0m\x9b31m\x1bPq#0\x1b\\\x1b^x\x1b\\",
    "\u202e\u2066\u200b\ufeff\x00\x07\ud800",
    "{{ 7*7 }}${7*7}<%= 7 %>",
    "&lt;b&gt;&#60;",
    "\r<iframe src=//e>\r",
    "\t\x0b\x0c\x85",
    "a" * 50,
    "::group::<b>",
]


class Rows(HTMLParser):
    """Looks at every tag of some rows; their text is in `texts`."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.depth = 0
        self.texts: list[str] = []
        self.links: list[str] = []
        self.feed(html)
        assert self.depth == 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        facts = dict(attrs)
        assert facts.keys() <= SAFE[tag], (tag, attrs)
        assert _CLASS.fullmatch(facts.get("class") or ""), attrs
        self.depth += 1
        if tag == "div":
            self.texts.append("")
        if facts.get("target"):
            self.links.append(facts["href"] or "")

    def handle_endtag(self, tag: str) -> None:
        self.depth -= 1

    def handle_data(self, data: str) -> None:
        self.texts[-1] += data


def line(text: str, number: int = 0) -> Line:
    return Line(number, "2026-11-21T20:00:00.123456Z", "out", text, newline=True)


def hostile_texts(count: int) -> list[str]:
    chance = random.Random(6)
    return ["".join(chance.choices(HOSTILE, k=chance.randint(1, 4))) for _ in range(count)]


def _name(tag: str) -> str:
    return tag[1:].partition(" ")[0].rstrip(">")


def test_fifty_thousand_hostile_lines_are_harmless() -> None:
    texts = hostile_texts(50_000)
    html = draw_rows((line(text, number) for number, text in enumerate(texts)), ADDRESS)
    assert html.count('<div class="ll') == html.count("</div>") == 50_000
    assert not HIDDEN.search(html)
    # All tags but for their numbers, each once: no text of a line can bring a `<` of its own.
    kinds = sorted(set(re.findall("<[^/>][^>]*>", re.sub(r"\d+", "0", html))))
    assert html.count("<") == len(re.findall("<[^<>]*>", html))
    assert len(kinds) < 500
    for link in Rows(
        "<div>" + "".join(f"{kind}</{_name(kind)}>" for kind in kinds) + "</div>"
    ).links:
        assert re.fullmatch(r"https?://[!-~]+", link)
    row = draw_row(line(HOSTILE[0]), ADDRESS, anchor="L", pattern=Pattern(Query("<script>")))
    assert row.endswith("<mark>&lt;script&gt;</mark>alert(1)&lt;/script&gt;</span></div>")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b[0m plain", [("red", "c1"), (" plain", "")]),
        ("\x1b[1;92;44mx\x1b[22;39my\x1b[49mz", [("x", "c10 k4 bo"), ("y", "k4"), ("z", "")]),
        (
            "\x1b[38;5;196mx\x1b[48;5;250my",
            [("x", "cx rf g0 b0"), ("y", "cx rf g0 b0 kx Rb Gb Bb")],
        ),
        ("\x1b[38;2;18;52;86mx", [("x", "cx r1 g3 b5")]),
        ("\x1b[38:2:18:52:86mx", [("x", "cx r1 g3 b5")]),
        ("\x1b[7;3;9mx\x1b[27;23;29my", [("x", "it iv st"), ("y", "")]),
        ("10 %\r\x1b[32m100 %\x1b[0m\r", [("100 %", "c2"), ("", "")]),
        ("\x1b]0;title\x07\x1b[2Kplain", [("plain", "")]),
    ],
)
def test_colours_are_classes(text: str, shown: list[tuple[str, str]]) -> None:
    found = [(piece.text, piece.classes) for piece in pieces(text)]
    assert [each for each in found if each[0]] == [each for each in shown if each[0]]


def test_addresses_are_links_and_nothing_else_is() -> None:
    text = "see (https://a.example/b?c=1&d), http://x.example. ftp://no javascript:no"
    row = draw_row(line(text), ADDRESS, anchor="", pattern=None)
    assert Rows(row).links == ["https://a.example/b?c=1&d", "http://x.example"]
    assert 'href="https://a.example/b?c=1&amp;d"' in row


def test_a_long_line_is_cut_and_binary_is_told() -> None:
    row = draw_row(line("x" * 70_000), ADDRESS, anchor="L", pattern=None)
    assert "66,000 more characters" in row
    assert 'href="/job_executions/id/log/line?attempt=1&amp;line=1"' in row
    assert len(row) < 5_000
    assert "binary data, 20 characters" in draw_row(
        line("\x7fELF\0\0\0" + "x" * 13), ADDRESS, anchor="", pattern=None
    )
    assert not is_binary("grün \ufffd\x1b[1m\tfine")


def test_marks_go_through_colours_and_links() -> None:
    row = draw_row(
        line("a\x1b[31mb\x1b[0mc http://bc.example"),
        ADDRESS,
        anchor="",
        pattern=Pattern(Query("bc")),
    )
    assert '<span class="c1"><mark>b</mark></span><mark>c</mark> ' in row
    assert Rows(row).texts[0].endswith("abc http://bc.example")
    assert clean("\x1b[31mred\x1b[0m\u202e") == "red\ufffd"
