"""The machine of states as words, and what v1 and v2 call them."""

import pytest

from barbeque_py.executions import ENDED, MOVES, OPEN, State, barbeque_status

Q, R, Y, S, F, C = (
    State.QUEUED,
    State.RUNNING,
    State.RETRYING,
    State.SUCCEEDED,
    State.FAILED,
    State.CANCELLED,
)


def test_the_machine_is_that_of_the_design() -> None:
    assert {(origin, to) for origin, nexts in MOVES.items() for to in nexts} == {
        (Q, R), (Q, C), (R, Q), (R, Y), (R, S), (R, F), (R, C), (Y, R), (Y, C),
        (S, Q), (F, Q), (C, Q),
    }  # fmt: skip


def test_every_state_is_open_or_ended() -> None:
    assert set(State) == OPEN | ENDED
    assert not OPEN & ENDED


def test_only_a_retry_by_hand_leaves_an_ended_state() -> None:
    assert all(MOVES[state] == {Q} for state in ENDED)


@pytest.mark.parametrize(
    ("state", "round_", "counted", "could_not_start", "word"),
    [
        (Q, 1, 0, False, "pending"),
        (Q, 1, 1, False, "retried"),
        (Q, 2, 0, False, "pending"),
        (Q, 2, 6, False, "retried"),
        (R, 1, 0, False, "running"),
        (R, 1, 1, False, "retried"),
        (R, 2, 0, False, "retried"),
        (R, 2, 3, False, "retried"),
        (Y, 1, 1, False, "retried"),
        (Y, 2, 1, True, "retried"),
        (S, 1, 1, False, "success"),
        (S, 2, 4, False, "success"),
        (F, 1, 6, False, "failed"),
        (F, 1, 6, True, "error"),
        (C, 1, 0, False, "cancelled"),
        (C, 2, 3, True, "cancelled"),
    ],
)
def test_v1_and_v2_speak_barbeque(
    state: State, round_: int, counted: int, could_not_start: bool, word: str
) -> None:
    status = barbeque_status(state, round_=round_, counted=counted, could_not_start=could_not_start)
    assert status == word
