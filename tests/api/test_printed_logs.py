"""What `barbeque logs` prints of a log that is about to be stored."""

import threading
from pathlib import Path

import pytest

from barbeque_py.cli.tail import Tail, Wanted
from barbeque_py.client import Client
from barbeque_py.store import Store
from tests.api.served import define, parts_of, serving


@pytest.mark.parametrize(("tail", "printed"), [(None, "one\ntwo\n"), (1, "two\n")])
def test_of_what_has_just_ended_all_is_printed(
    sqlite_store: Store,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    tail: int | None,
    printed: str,
) -> None:
    sqlite_store.write(define)
    with serving(parts_of(sqlite_store, tmp_path)) as api:
        message_id = api.enqueue_and_run()
        api.write_log(message_id, "out one", sealed=False)
        stored = threading.Timer(
            0.5, api.write_log, (message_id, "out one", "out two"), {"sealed": True}
        )
        stored.start()
        with Client(str(api.client.base_url)) as client:
            Tail(client, message_id, Wanted(tail=tail)).show(None)
        stored.join()
    assert capsys.readouterr().out == printed
