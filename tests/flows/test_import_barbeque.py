"""`barbeque import-barbeque` as it is typed: a URL, or one on standard input, and what it says."""

import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from barbeque_py import clock
from barbeque_py.cli.root import run
from barbeque_py.store import Store
from barbeque_py.store.schema import migrate
from tests.store.barbeque_database import BarbequeDatabase, barbeque_database, fill
from tests.stores import MariaDb

pytestmark = pytest.mark.mariadb


@pytest.fixture
def former(
    mariadb: MariaDb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[BarbequeDatabase]:
    monkeypatch.setenv("BARBEQUE_HOME", str(tmp_path))
    store = Store(f"sqlite:///{tmp_path}/barbeque.db", create=True)
    migrate(store)
    store.close()
    with barbeque_database(mariadb) as made:
        fill(made, 100, clock.now())
        yield made


def test_it_counts_then_imports_and_then_has_nothing_to_do(
    former: BarbequeDatabase,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert run(["import-barbeque", former.url, "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert "executions    79 would be imported" in said
    assert "20 left out: it is still open in Barbeque" in said
    assert "the app 'bad name!'" in said
    assert "nothing was changed" in said
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{former.url}\n"))
    assert run(["import-barbeque", "-", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["executions"]["imported"] == 79
    assert told["subscriptions"]["skipped"] == {"BARBEQUE_BROKER is not sqs:": 1}
    assert run(["import-barbeque", former.url]) == 0
    assert "executions    0 imported, 79 there already" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("url", "code", "cure"),
    [
        ("sqlite:////x.db", 2, "a Barbeque database is on MySQL"),
        ("barbeque", 2, "mysql"),
        ("mysql://root:secret@127.0.0.1:1/barbeque", 3, "can't be read"),
    ],
)
def test_a_database_that_can_not_be_read_says_why_and_no_password(
    former: BarbequeDatabase,
    capsys: pytest.CaptureFixture[str],
    url: str,
    code: int,
    cure: str,
) -> None:
    assert run(["import-barbeque", url]) == code
    said = capsys.readouterr().err
    assert cure in said
    assert "secret" not in said
