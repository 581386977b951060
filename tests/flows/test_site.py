"""docs/ as a site: no link of it leads nowhere, and nothing of it asks another machine."""

import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.flows.pages import ROOT

_FETCHED = {"script": "src", "img": "src", "iframe": "src", "source": "src", "object": "data"}
"""What a browser fetches by itself, and by which attribute."""
_LINKED = {"stylesheet", "icon", "preload", "modulepreload", "prefetch", "preconnect", "manifest"}
_FOREIGN = re.compile(r"(?:[a-z]+:)?//", re.IGNORECASE)


class _Asked(HTMLParser):
    """What a page makes a browser ask for, by itself or at a click."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.links: list[str] = []
        self.feed(page.read_text())

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attributes}
        if tag in _FETCHED and _FETCHED[tag] in given:
            self.fetched.append(given[_FETCHED[tag]])
        if tag == "link" and _LINKED & set(given.get("rel", "").split()):
            self.fetched.append(given["href"])
        if tag == "a" and "href" in given:
            self.links.append(given["href"])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build it as `make docs` does: a warning, as of a broken link or anchor, is an error."""
    folder = tmp_path_factory.mktemp("docs") / "site"
    mkdocs = str(Path(sys.executable).parent / "mkdocs")
    built = subprocess.run(
        [mkdocs, "build", "--strict", "--quiet", "--site-dir", str(folder)],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (built.returncode, built.stdout, built.stderr) == (0, "", "")
    return folder


def test_every_page_is_there_found_and_listed(site: Path) -> None:
    sources = {each.stem for each in (ROOT / "docs").glob("*.md")} | {"changelog", "security"}
    assert sources <= {each.stem for each in site.glob("*.html")}
    text = (site / "search" / "search_index.js").read_text()
    index = json.loads(text.partition("=")[2].strip().rstrip(";"))
    assert sources <= {each["location"].partition(".html")[0] or "index" for each in index["docs"]}
    listed = {link.partition(".html")[0] for link in _Asked(site / "index.html").links}
    assert sources - listed <= {"index"}, "list it in docs/index.md"
    assert list(site.glob("**/*.py*")) == []


def test_no_page_asks_another_machine(site: Path) -> None:
    pages = list(site.glob("**/*.html"))
    for page in pages:
        asked = _Asked(page)
        assert [each for each in asked.fetched if _FOREIGN.match(each)] == [], page.name
        broken = [each for each in asked.fetched if not _target(page, each).exists()]
        assert page.name == "404.html" or broken == [], page.name
    styles = "".join(each.read_text() for each in site.glob("**/*.css"))
    assert re.findall(r"(?:url\(|@import)\s*['\"]?(?:https?:)?//[^)'\"]*", styles) == []
    assert len(pages) > len(list((ROOT / "docs").glob("*.md")))


def _target(page: Path, address: str) -> Path:
    return page.parent / re.split("[?#]", address)[0]
