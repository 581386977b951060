"""Tickets let the job of one attempt ask for its message."""

import string

from barbeque_py.tickets import is_ticket, ticket

ATTEMPT = "0193b2f0-0000-7000-8000-000000000000-1"


def test_a_ticket_is_for_one_attempt_under_one_secret() -> None:
    one = ticket(b"secret", ATTEMPT)
    assert len(one) == 40
    assert set(one) <= set(string.hexdigits)
    assert is_ticket(b"secret", ATTEMPT, one)
    assert not is_ticket(b"secret", ATTEMPT.replace("-1", "-2"), one)
    assert not is_ticket(b"other", ATTEMPT, one)


def test_anything_else_is_no_ticket() -> None:
    one = ticket(b"secret", ATTEMPT)
    for shown in ("", one[:-1], one + "0", one.upper(), "ü" * 40):
        assert not is_ticket(b"secret", ATTEMPT, shown)
