"""The email in a browser: light and dark, on a phone and wide; nothing leaves its card."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from barbeque_py.letter_forms import as_html
from barbeque_py.letters import write
from barbeque_py.notices import Event, Notice
from tests.console.looks import open_browser
from tests.notices.samples import a_notice

HOST = "https://barbeque.example.com"
LETTERS: dict[str, Notice] = {
    "failed": a_notice(
        lines=(
            "opening /in/video.mp4",
            "frame 120 of 480",
            "x" * 300,
            "error: no space left on device",
        )
    ),
    "japanese": a_notice(
        event=Event.SUCCEEDED,
        locale="ja",
        time_zone="Asia/Tokyo",
        exit_code=0,
        result='{"pages":' + "3" * 300 + "}",
    ),
    "long": a_notice(app="a" * 128, job="J" * 128, user_id="u" * 255, detail="d" * 400, count=37),
}


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with open_browser() as browser:
        yield browser


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_the_email_is_readable_in_every_light_and_width(
    chromium: Browser, tmp_path: Path, scheme: str, width: int
) -> None:
    context = chromium.new_context(
        viewport={"width": width, "height": 800},
        color_scheme="dark" if scheme == "dark" else "light",
    )
    page = context.new_page()
    for name, notice in LETTERS.items():
        html = as_html(write(notice, HOST), notice.occasion.event, locale=notice.locale)
        page.set_content(html)
        page.screenshot(path=tmp_path / f"{name}-{scheme}-{width}.png", full_page=True)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, name
        for selector in ("h1", ".card p", ".card pre", ".card td"):
            for contrast in page.eval_on_selector_all(selector, _CONTRASTS):
                assert contrast >= 4.5, (name, selector, scheme)
    context.close()


_CONTRASTS = """
elements => elements.filter(each => each.innerText.trim()).map(element => {
  const light = colour => {
    const [r, g, b] = colour.match(/[\\d.]+/g).slice(0, 3).map(Number).map(part => {
      const share = part / 255
      return share <= 0.03928 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4
    })
    return 0.2126 * r + 0.7152 * g + 0.0722 * b
  }
  let behind = element
  while (getComputedStyle(behind).backgroundColor === "rgba(0, 0, 0, 0)") {
    behind = behind.parentElement
  }
  const pair = [getComputedStyle(element).color, getComputedStyle(behind).backgroundColor]
  const [low, high] = pair.map(light).sort((a, b) => a - b)
  return (high + 0.05) / (low + 0.05)
})
"""


def test_the_email_asks_nothing_of_any_server() -> None:
    notice = LETTERS["failed"]
    html = as_html(write(notice, HOST), notice.occasion.event, locale="en")
    assert set(re.findall(r'(?:src|href)="(https?://[^/"]+)', html)) == {HOST}
    assert "src=" not in html
    assert "url(" not in html
