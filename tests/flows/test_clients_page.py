"""The page about other languages is true, for those that this machine has."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.flows.api_examples import text
from tests.flows.pages import ROOT, Block, blocks
from tests.flows.test_docs import PATIENCE, Desk
from tests.parts import need

PAGE = ROOT / "docs" / "clients.md"
RUN_BY = {"greet.sh": "sh", "greet.py": sys.executable, "greet.mjs": "node"}


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    desk = Desk(tmp_path_factory.mktemp("clients"))
    for block in blocks(PAGE):
        if block.file:
            (desk.folder / block.file).write_text(block.text)
            desk.run(f"barbeque apply -f {block.file}")
    yield desk
    desk.close()


def programs() -> dict[str, Block]:
    """Return the page's programs by the file name that each begins with."""
    found = {}
    for block in blocks(PAGE):
        if named := re.match(r"(?:#|//) (greet\.\w+)\n", block.text):
            found[named[1]] = block
    return found


def test_there_is_an_example_in_each_language() -> None:
    assert set(programs()) == {*RUN_BY, "greet.rb", "greet.go"}


@pytest.mark.parametrize("name", RUN_BY)
def test_an_example_enqueues_and_waits_for_the_end(desk: Desk, name: str) -> None:
    program = shutil.which(RUN_BY[name])
    need(f"{RUN_BY[name]} for {name}", program, "it is not installed")
    assert program
    (desk.folder / name).write_text(programs()[name].text)
    ended = subprocess.run(
        [program, name],
        env=desk.environment,
        cwd=desk.folder,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (0, "success\n"), ended.stderr


def test_the_examples_of_the_api_are_those_of_its_page() -> None:
    given = json.loads((ROOT / "api" / "barbeque_api" / "examples.json").read_text())
    page = json.loads(text())
    told = "python -m tests.flows.api_examples > api/barbeque_api/examples.json"
    assert given == {route: page.get(route) for route in given}, told
