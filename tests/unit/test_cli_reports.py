"""What the command line says of a job's progress and result."""

from typing import Any

import pytest

from barbeque_py.cli.executions import print_execution
from barbeque_py.cli.waiting import Ticker

HALF = {"percent": 50.0, "text": "half", "at": "2026-11-27T12:00:00.000000Z"}


def facts(**more: Any) -> dict[str, Any]:
    return {"message_id": "m", "state": "running", "status": "running", "attempts": [], **more}


def test_progress_is_told_when_it_is_new(capsys: pytest.CaptureFixture[str]) -> None:
    ticker = Ticker()
    for progress in (None, HALF, HALF, HALF | {"percent": None, "text": "\x1b[31mred"}, None):
        ticker.show(facts(progress=progress))
    ticker.show(facts())
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "-- 50% half\n-- \N{REPLACEMENT CHARACTER}[31mred\n"


def test_status_shows_progress_and_result(capsys: pytest.CaptureFixture[str]) -> None:
    print_execution(facts(progress=HALF, result={"pages": ["ä"]}, result_fault=None))
    printed = capsys.readouterr().out
    assert "progress  50% half\n" in printed
    assert 'result    {"pages": ["ä"]}\n' in printed
    print_execution(facts(progress=None, result=None, result_fault="the result: not JSON"))
    printed = capsys.readouterr().out
    assert "progress" not in printed
    assert "result    the result: not JSON\n" in printed
