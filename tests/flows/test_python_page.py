"""The page about Python is true: its blocks are run in order, and what they print is compared."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.flows.pages import ROOT, blocks, commands
from tests.flows.test_docs import PATIENCE, Desk

PAGE = ROOT / "docs" / "python.md"
IN_A_JOB = {
    "BARBEQUE_APP": "pages",
    "BARBEQUE_JOB": "Count",
    "BARBEQUE_QUEUE_NAME": "default",
    "BARBEQUE_MESSAGE": '{"text": "abc"}',
    "BARBEQUE_MESSAGE_ID": "01a1fff0-b7cb-7308-83d5-db9c983d5cd7",
    "BARBEQUE_ATTEMPT_ID": "01a1fff0-b7cb-7308-83d5-db9c983d5cd7-1",
    "BARBEQUE_RETRY_COUNT": "0",
    "BARBEQUE_SENT_TIMESTAMP": "1790000000000",
}


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    desk = Desk(tmp_path_factory.mktemp("python"))
    yield desk
    desk.close()


def run(desk: Desk, text: str) -> str:
    """Run a block as a program of its own, in the folder in which the page's files are."""
    path: Path = desk.folder / "block.py"
    path.write_text(text)
    ended = subprocess.run(
        [sys.executable, str(path)],
        env=desk.environment | IN_A_JOB,
        cwd=desk.folder,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert ended.returncode == 0, f"{text}\n{ended.stderr}"
    return ended.stdout


def let_jobs_find_modules(desk: Desk) -> None:
    """Do for processes what the image does: have the app's modules where Python looks."""
    path = desk.folder / "shop.json"
    if path.exists():
        facts = json.loads(path.read_text())
        facts["apps"][0]["env"] = {"PYTHONPATH": str(desk.folder)}
        path.write_text(json.dumps(facts))


def test_what_the_page_says_to_write_does_what_the_page_says(desk: Desk) -> None:
    tried = 0
    for block in blocks(PAGE):
        module = re.match(r"# (\w+\.py)\n", block.text)
        if block.file:
            (desk.folder / block.file).write_text(block.text)
            if block.language == "yaml":
                desk.run(f"barbeque apply -f {block.file}")
        elif module:
            (desk.folder / module[1]).write_text(block.text)
        elif block.language == "sh":
            for command in commands(block):
                desk.run(command)
                let_jobs_find_modules(desk)
        elif block.language == "python":
            tried += 1
            printed = run(desk, block.text)
            assert block.answer is None or printed == block.answer.text, block.line
    assert tried
