"""An outage is told once, and its end; everything else is written as ever."""

import logging
from collections.abc import Iterator

import pytest

from barbeque_py import clock
from barbeque_py.cli import repeats
from barbeque_py.cli.repeats import Repeats
from barbeque_py.errors import BrokerUnavailable, OutsideError, StoreUnavailable
from tests.waiting import wait_until

AWAY = StoreUnavailable("the database is away")


class Kept(logging.Handler):
    """What was written."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


@pytest.fixture
def kept() -> Iterator[Kept]:
    kept = Kept()
    kept.addFilter(Repeats(quiet=0.2))
    log = logging.getLogger("repeats")
    log.addHandler(kept)
    log.setLevel(logging.INFO)
    log.propagate = False
    yield kept
    log.removeHandler(kept)


def warn(name: str, error: OutsideError, wording: str = "%s rests: %s") -> None:
    logging.getLogger("repeats").warning(wording, name, error)


def test_what_repeats_is_written_once_whoever_meets_it_and_then_its_end(kept: Kept) -> None:
    for number in range(100):
        warn(f"loop {number}", AWAY)
    assert kept.lines == ["loop 0 rests: the database is away"]
    wait_until(lambda: len(kept.lines) == 2, "its end is told")
    assert "loop 99 rests: the database is away" in kept.lines[1]
    assert "repeats left out: 99" in kept.lines[1]
    warn("loop 1", AWAY)
    assert kept.lines[2] == "loop 1 rests: the database is away"


def test_other_wordings_and_other_outages_are_kinds_of_their_own(kept: Kept) -> None:
    for _ in range(3):
        warn("a", AWAY)
        warn("a", AWAY, "%s waits: %s")
        warn("a", BrokerUnavailable("the queue is away"))
    assert len(kept.lines) == 3


def test_whatever_is_no_outage_is_always_written(kept: Kept) -> None:
    for _ in range(3):
        logging.getLogger("repeats").warning("%s is odd", "it")
        logging.getLogger("repeats").info("%s", AWAY)
        logging.getLogger("repeats").error("%s", AWAY)
    assert len(kept.lines) == 9


def test_an_outage_that_goes_on_is_told_again(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repeats, "REMINDER", 0.05)
    began = clock.monotonic()
    warn("a", AWAY)
    wait_until(lambda: warn("a", AWAY) or len(kept.lines) > 1, "it is told again")  # type: ignore[func-returns-value]
    assert clock.monotonic() - began >= 0.05
