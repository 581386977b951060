"""Pages are true: what they tell people to type is typed, and their answers are compared."""

import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from barbeque_py.broker import Parcel
from barbeque_py.brokers.database import DatabaseBroker
from barbeque_py.manifest import parse
from barbeque_py.store import Store
from tests.flows.commands_page import page as commands_page
from tests.flows.pages import PAGES, ROOT, Block, anchors, blocks, commands, links

TRIED = [
    ROOT / "README.md",
    *(ROOT / "docs" / f"{name}.md" for name in ("first-job", "api", "tokens")),
]
TRIED += [ROOT / "docs" / f"{name}.md" for name in ("job-image", "schedules")]
PATIENCE = 90.0
DEAD = '{"Type":"JobExecution","Application":"hello","Job":"Greet"}'
ENDED = ("success", "failed", "error", "cancelled")

_UUID = re.compile(r"[\da-f]{8}-[\da-f]{4}-[\da-f]{4}-[\da-f]{4}-[\da-f]{12}")
_OWN = re.compile(
    r"(_at|_id|_until)$|^(id|until|at|before|next|place|handle|html_url|after)$|seconds$"
)
"""Fields whose values are another's each time."""
_SOMETIMES = ("handle", "deadline_at")
"""Fields that an attempt lacks when it ended before it was seen running."""
_CHANCE = re.compile(r"^-- (no worker|queued[,:]).*\n", re.MULTILINE)
"""Notes that depend on how quick the worker is."""
_ENDS = re.compile(r"# ends with (\d)")


class Desk:
    """Somebody who follows one page: a running barbeque_py, a folder, and the id just printed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.message_id = ""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._output = (folder / "up.log").open("w")
        self._up = subprocess.Popen(
            [sys.executable, "-m", "barbeque_py.cli", "up", "--port", str(self.port)],
            env=self.environment,
            stdout=self._output,
            stderr=self._output,
        )
        self._await(self.ready)

    @property
    def environment(self) -> dict[str, str]:
        return {
            "PATH": f"{Path(sys.executable).parent}:{os.defpath}",
            "HOME": str(self.folder),
            "BARBEQUE_HOME": str(self.folder / ".barbeque"),
            "BARBEQUE_EXECUTOR": "process:",
            "BARBEQUE_URL": self.url,
        }

    def close(self) -> None:
        self._up.terminate()
        try:
            self._up.wait(PATIENCE)
        finally:
            self._up.kill()
            self._up.wait()
            self._output.close()

    def ready(self) -> bool:
        assert self._up.poll() is None, (self.folder / "up.log").read_text()
        with suppress(OSError):
            return bool(self.get("/readyz") == {"status": "ok"})
        return False

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(self.url + path, timeout=PATIENCE) as answer:
            return json.load(answer)

    def run(self, command: str) -> str:
        """Type the command; return what it printed. It must end as the page says."""
        typed = command.replace("localhost:3003", f"localhost:{self.port}")
        typed = typed.replace(".venv/bin/", "").replace("MESSAGE_ID", self.message_id or "none")
        typed = typed.replace(f"BARBEQUE_{self.message_id}", "BARBEQUE_MESSAGE_ID")
        ended = subprocess.run(
            ["bash", "-c", typed],
            env=self.environment,
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        expected = _ENDS.search(command)
        assert ended.returncode == int(expected[1] if expected else 0), f"{typed}\n{ended.stdout}"
        self._look_at(ended.stdout, later="delay" in typed)
        return ended.stdout

    def bury(self) -> None:
        """Put what can't be a job on the queue, as another sender might, and see it dead."""
        store = Store(f"sqlite:///{self.folder}/.barbeque/barbeque.db")
        DatabaseBroker(store).send("default", [Parcel(body=DEAD, app="hello")])
        store.close()
        self._await(lambda: self.get("/v2/dead_messages")["dead_messages"])

    def _look_at(self, output: str, *, later: bool) -> None:
        """Remember the id that was printed, and wait for its end, as a reader would."""
        found = _UUID.findall(output)
        if found:
            self.message_id = found[0]
        if found and not later and '"pending"' in output:
            self._await(self._has_ended)

    def _has_ended(self) -> bool:
        status = self.get(f"/v1/job_executions/{self.message_id}")["status"]
        if status not in ENDED:
            return False
        tries = self.get(f"/v2/job_executions/{self.message_id}")["attempts"]
        return all(each["log"]["sealed_at"] for each in tries)

    def _await(self, true: Any) -> None:
        until = time.monotonic() + PATIENCE
        while not true():
            assert time.monotonic() < until, (self.folder / "up.log").read_text()
            time.sleep(0.05)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path)
    try:
        yield desk
    finally:
        desk.close()


def read(desk: Desk, page: Path) -> Iterator[tuple[Block, str]]:
    """Do what the page says, block by block; yield each with what it printed."""
    for block in blocks(page):
        if block.file:
            (desk.folder / block.file).write_text(block.text)
        if block.language == "yaml" and page.name in ("api.md", "tokens.md"):
            desk.run(f"barbeque apply -f {block.file}")
            desk.bury()
        if block.language == "sh":
            yield block, "".join(desk.run(command) for command in commands(block))


def differences(told: Any, found: Any, name: str = "") -> Iterator[str]:
    """Yield where answers differ: in shape, or in a value that is not another each time."""
    if isinstance(told, dict) and isinstance(found, dict):
        yield from (f"{name}.{each}" for each in told.keys() ^ found.keys())
        for each in told.keys() & found.keys():
            yield from differences(told[each], found[each], each)
    elif isinstance(told, list) and isinstance(found, list) and len(told) == len(found):
        for position, (one, other) in enumerate(zip(told, found, strict=True)):
            yield from differences(one, other, f"{name}.{position}")
    elif name in _SOMETIMES and None in (told, found):
        return
    elif type(told) is not type(found) or (told != found and not _OWN.search(name)):
        yield f"{name}: told {told}, found {found}"


def plain(text: str) -> list[str]:
    """Return the lines without what is another's each time."""
    text = _UUID.sub("ID", _CHANCE.sub("", text))
    return re.sub(r"\d{4}-\d\d-\d\d.\d\d:\d\d:\d\d(\.\d+)?", "TIME", text).splitlines()


@pytest.mark.parametrize("page", TRIED, ids=lambda page: page.name)
def test_what_a_page_says_to_type_does_what_the_page_says(desk: Desk, page: Path) -> None:
    tried = 0
    for block, printed in read(desk, page):
        tried += 1
        told, where = block.answer, f"{page.name}:{block.line}"
        if told and told.language == "json":
            answer = json.loads(printed[printed.index("{") :])
            assert list(differences(json.loads(told.text), answer)) == [], where
        elif told:
            assert plain(told.text) == plain(printed), where
    assert tried


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_yaml_on_a_page_is_a_file_that_can_be_applied(page: Path) -> None:
    for block in blocks(page):
        if block.language == "yaml":
            parse(block.text, base=ROOT)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_pictures_lead_somewhere(page: Path) -> None:
    for link in links(page):
        path, _, anchor = link.partition("#")
        if "://" in path:
            continue
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{page.name} links to {link}"
        assert not anchor or anchor in anchors(target), f"{page.name} links to {link}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_test_that_a_page_names_is_there(page: Path) -> None:
    for file, name in re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", page.read_text()):
        assert f"def {name}(" in (ROOT / file).read_text(), f"{page.name} names {file}::{name}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_target_of_make_that_a_page_names_is_there(page: Path) -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"(?:`|^)make ([a-z-]+)", page.read_text(), re.MULTILINE):
        assert f"\n{target}:" in makefile, f"{page.name} names make {target}"


def test_every_route_stands_in_the_pages_of_the_api(desk: Desk) -> None:
    page = (ROOT / "docs" / "api.md").read_text()
    told = set(re.findall(r"^### `([A-Z]+ /\S+)`$", page, re.MULTILINE))
    routes = desk.get("/openapi.json")["paths"].items()
    assert told == {f"{verb.upper()} {path}" for path, verbs in routes for verb in verbs}


def test_the_page_of_commands_is_the_one_in_docs() -> None:
    told = (ROOT / "docs" / "commands.md").read_text()
    assert told == commands_page(), "python -m tests.flows.commands_page > docs/commands.md"
