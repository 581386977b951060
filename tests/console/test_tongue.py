"""The console in Japanese, and what its assets may weigh and name."""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

import httpx

from barbeque_console import assets
from barbeque_console.pages import _environment
from barbeque_console.tongue import LOCALE, read_catalogue
from barbeque_py import errors
from tests.console.rigs import Place

UI = Path(__file__).parents[2] / "console" / "ui"
OURS = [
    "app",
    "apps",
    "base",
    "bulk",
    "bulk_ask",
    "bulk_done",
    "confirm",
    "dead_messages",
    "definition",
    "definition_edit",
    "diffs",
    "error",
    "executions",
    "executions_count",
    "execution",
    "execution_actions",
    "execution_attempts",
    "execution_failure",
    "execution_phases",
    "help",
    "job",
    "keys",
    "notice",
    "notice_words",
    "notices",
    "search",
    "parts",
    "queues",
    "schedule",
    "schedule_words",
    "schedules",
    "subscriptions",
    "views",
    "workers",
    "release",
    "release_ask",
    "releases",
    "rest",
    "tags",
]


def test_no_sentence_of_these_pages_is_left_in_english() -> None:
    known = read_catalogue("ja")
    templates = _environment()
    missing = set()
    for name in OURS:
        source = (LOCALE.parent / "templates" / f"{name}.html").read_text()
        for _, _, said in templates.extract_translations(source):  # type: ignore[attr-defined]
            first = said if isinstance(said, str) else (said or [None])[0]
            if first is not None and first not in known:  # what is no literal is marked elsewhere
                missing.add(first)
    assert missing == set()
    held = re.compile(r"%\(\w+\)s|%s")
    for english, japanese in known.items():
        assert set(held.findall(english)) <= set(held.findall(japanese)), english


def test_no_refusal_is_left_in_english() -> None:
    known = read_catalogue("ja")
    missing = set()
    for module in sorted(LOCALE.parent.glob("*.py")):
        tree = ast.parse(module.read_text())
        named = {
            target.id: node.value.value
            for node in ast.walk(tree)
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        for sentence in _refusals(tree):
            said = named.get(sentence.id) if isinstance(sentence, ast.Name) else None
            said = sentence.value if isinstance(sentence, ast.Constant) else said
            if isinstance(sentence, ast.JoinedStr) or (isinstance(said, str) and said not in known):
                missing.add((module.name, ast.unparse(sentence)))
    assert missing == set()


def _refusals(tree: ast.AST) -> Iterator[ast.expr]:
    """Yield what the module tells people when it refuses them something."""
    told = {name for name, each in vars(errors).items() if _is_refusal(each)} | {"Refusal"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args:
            if node.func.id == "HTTPException":
                yield from node.args[1:]
            elif node.func.id in told:
                yield from node.args


def _is_refusal(each: object) -> bool:
    return isinstance(each, type) and issubclass(each, errors.RequestError)


def test_the_language_is_the_browser_s_until_one_is_chosen(
    place: Place, browser: httpx.Client
) -> None:
    place.enqueue()
    japanese = browser.get("/executions", headers={"accept-language": "ja-JP,ja;q=0.9,en;q=0.8"})
    assert '<html lang="ja"' in japanese.text
    assert "待機中" in japanese.text
    chosen = browser.post("/preferences", data={"language": "ja", "theme": "dark", "back": "//x"})
    assert chosen.headers["location"] == "/"
    browser.cookies.update(chosen.cookies)
    page = browser.get("/executions").text
    assert '<html lang="ja" data-bs-theme="dark"' in page


def test_what_a_browser_loads_is_light_and_named_by_its_content(browser: httpx.Client) -> None:
    page = browser.get("/executions", headers={"accept-encoding": "br"})
    files = re.findall(r'(?:href|src)="(/static/[^"]+)"', page.text)
    loaded = {
        path: len((assets.BUILT / f"{path.removeprefix('/static/')}.br").read_bytes())
        for path in dict.fromkeys(files)
    }
    assert len(loaded) + 1 <= 5
    assert sum(size for path, size in loaded.items() if path.endswith(".css")) <= 20 * 1024
    assert sum(size for path, size in loaded.items() if path.endswith(".js")) <= 25 * 1024
    assert sum(loaded.values()) + len(page.content) <= 60 * 1024
    for path in loaded:
        answer = browser.get(path, headers={"accept-encoding": "br"})
        assert answer.headers["content-encoding"] == "br"
        assert "immutable" in answer.headers["cache-control"]


def test_the_lock_of_packages_names_no_index() -> None:
    lock = (UI / "package-lock.json").read_text()
    assert '"resolved"' not in lock
    assert all(each.get("integrity") for name, each in json.loads(lock)["packages"].items() if name)
    assert "omit-lockfile-registry-resolved=true" in (UI / ".npmrc").read_text()
    packages = json.loads((UI / "package.json").read_text())
    pinned = {**packages["dependencies"], **packages["devDependencies"]}
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in pinned.values())
