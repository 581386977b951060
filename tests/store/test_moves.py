"""The machine of states, held by the database: 36 pairs, and races that have one winner."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import product

from barbeque_py.executions import MOVES, State
from barbeque_py.store import Store, Tx
from barbeque_py.store import executions as rows
from tests.store.world import an_execution, row, set_columns

PAIRS = list(product(State, State))


def test_a_move_succeeds_exactly_where_the_machine_allows_it(store: Store) -> None:
    assert len(PAIRS) == 36
    for guarded in (_move, _move_from):
        number = an_execution(store)
        for origin, to in PAIRS:
            set_columns(store, number, state=origin, note="before")
            allowed = to in MOVES[origin]
            assert guarded(store, number, origin, to) is allowed, (origin, to)
            after = row(store, number)
            expected = (to, "after") if allowed else (origin, "before")
            assert (after.state, after.note) == expected


def test_a_move_from_other_states_changes_nothing(store: Store) -> None:
    number = an_execution(store)
    for origin, to in PAIRS:
        set_columns(store, number, state=origin)
        others = [state for state in State if state is not origin]
        assert not store.write(
            partial(rows.move_from, number=number, origins=others, to=to, set_={})
        )
        assert row(store, number).state is origin


def test_a_move_touches_no_other_execution(store: Store) -> None:
    number, other = an_execution(store), an_execution(store)
    assert store.write(lambda tx: rows.move(tx, number, State.RUNNING, set_={}))
    assert row(store, other).state is State.QUEUED


def test_of_eight_that_move_at_once_exactly_one_wins(store: Store, other_store: Store) -> None:
    for _ in range(10):
        number = an_execution(store)

        def race(chosen: Store, number: int = number) -> bool:
            return chosen.write(lambda tx: rows.move(tx, number, State.RUNNING, set_={}))

        with ThreadPoolExecutor(8) as pool:
            assert sum(pool.map(race, [store, other_store] * 4)) == 1


def test_of_two_different_ends_one_wins_and_stays(store: Store, other_store: Store) -> None:
    for _ in range(10):
        number = an_execution(store)
        set_columns(store, number, state=State.RUNNING)

        def end(chosen: Store, to: State, number: int = number) -> State | None:
            won = chosen.write(lambda tx: rows.move_from(tx, number, [State.RUNNING], to, set_={}))
            return to if won else None

        with ThreadPoolExecutor(2) as pool:
            ends = pool.map(end, [store, other_store], [State.SUCCEEDED, State.FAILED])
        assert [each for each in ends if each is not None] == [row(store, number).state]


def _move(store: Store, number: int, origin: State, to: State) -> bool:
    return store.write(lambda tx: rows.move(tx, number, to, set_={"note": "after"}))


def _move_from(store: Store, number: int, origin: State, to: State) -> bool:
    def move(tx: Tx) -> bool:
        return rows.move_from(tx, number, [origin], to, set_={"note": "after"})

    return store.write(move)
