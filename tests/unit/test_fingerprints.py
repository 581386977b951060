"""Failures that differ only in what changes from run to run are the same; others are not."""

import pytest

from barbeque_py.fingerprints import fingerprint_of, pattern_of
from barbeque_py.log_marks import Marking

SAME = [
    (
        "2026-01-02T03:04:05.678Z ERROR [12] cannot open /var/tmp/a1b2.mp4: No such file",
        "2027-11-12 13:14:15,9 ERROR [7] cannot open /srv/x/y/z.mov: No such file",
    ),
    ('File "/app/x.py", line 3, in foo', 'File "/srv/app/y.py", line 99, in foo'),
    ("10.0.0.1:5432 refused after 3.5s", "192.168.1.20:80 refused after 12s"),
    (
        "no row 3f2504e0-4f89-11d3-9a0c-0305e82c3301 at 0xdeadbeef",
        "no row 00000000-0000-7000-8000-000000000000 at 0x1",
    ),
    ("\x1b[31mError\x1b[0m: a@example.com http://x/y?z=1", "Error: b@b.org https://host/other"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_what_changes_from_run_to_run_is_folded(one: str, other: str) -> None:
    assert pattern_of(one) == pattern_of(other)


def test_what_is_said_how_it_ended_and_with_which_code_tells_failures_apart() -> None:
    names = {
        fingerprint_of(reason, code, pattern_of(line))
        for reason in ("exited", "timed out")
        for code in (1, 2)
        for line in ("KeyError: 'user'", "KeyError: 'name'", "")
    }
    assert len(names) == 12


def test_a_hostile_line_is_folded_in_time() -> None:
    for line in ("1" * 100_000, "/a" * 100_000, "a." * 100_000 + "@", "aA1" * 50_000, ":" * 99_999):
        assert len(pattern_of(line)) <= 300


def test_the_line_kept_is_the_first_that_tells_what_is_wrong() -> None:
    marking = Marking()
    head = b"2026-01-02T03:04:05.000000Z err "
    marking.add(0, head + b"all is well\n")
    assert marking.error is None
    marking.add(
        1, head + b"Traceback (most recent call last):\n" + head + b'  raise KeyError("x")\n'
    )
    assert marking.error == "Traceback (most recent call last):"
    marking.add(3, head + b"KeyError: 'x'\n" + head + b"fatal: more\n")
    marking.add(5, head + b"error: later\n")
    assert marking.error == "KeyError: 'x'"
