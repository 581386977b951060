"""Canaries: no password and no token is in a log, an answer, a page or a file."""

import logging
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from barbeque_api.app import create_app
from barbeque_console.app import create_app as create_console
from barbeque_console.parts import Shown
from barbeque_py.identity import EVERYBODY, Scope
from barbeque_py.issue import Wish, issue
from barbeque_py.store import Store
from tests.api.routes import routes_of
from tests.api.served import JOB, UNSEEN, Running, define, listening, parts_of, serving
from tests.asking import open_client

PASSWORD = "canary-of-the-database"
VALUES: dict[str, Any] = {
    "message_id": UNSEEN,
    "attempt_id": f"{UNSEEN}-1",
    "number": 1,
    "token_id": "nothing",
    "worker": "nothing",
    "app": "media",
    "name": "media",
    "user_id": "u1",
    "notice_id": UNSEEN,
    "job": "Thumbnail",
}


def everything(api: Running, headers: dict[str, str]) -> str:
    """Ask every route for everything; return all that was answered."""
    nothing: Any = None
    told = []
    for route in routes_of(create_app(parts_of(nothing, Path("/nowhere")))):
        path = route.at(**VALUES)
        if path.endswith("/stream"):
            continue
        body = JOB if route.verb in ("POST", "PUT") else None
        answer = api.client.request(route.verb, path, json=body, headers=headers)
        told.append(f"{answer.headers} {answer.text}")
    return "\n".join(told)


@pytest.mark.timeout(120)
def test_the_password_of_a_database_that_is_away_is_told_nobody(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    url = f"mysql+pymysql://barbeque:{PASSWORD}@127.0.0.1:1/barbeque"
    with closing(Store(url)) as store:
        parts = parts_of(store, tmp_path)
        with serving(parts) as api:
            told = everything(api, {})
        shown = Shown(store=store, broker=parts.broker, logs=parts.logs, bell=parts.bell)
        with listening(create_console(shown)) as (console, _), open_client() as client:
            pages = [client.get(f"{console}{path}") for path in ("/", "/queues", "/dead_messages")]
        told += "".join(each.text for each in pages)
    assert [each.status_code for each in pages] == [503] * 3
    assert "503" in caplog.text
    assert "127.0.0.1:1" in caplog.text
    for text in (told, caplog.text, repr(store.shown_url)):
        assert PASSWORD not in text


def test_a_token_s_secret_is_shown_once_and_kept_nowhere(
    sqlite_store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    sqlite_store.write(define)
    wish = Wish("canary", frozenset(Scope))
    _, text = sqlite_store.write(lambda tx: issue(tx, EVERYBODY, wish))
    secret = text.split("_", 2)[2]
    with serving(parts_of(sqlite_store, tmp_path), ask_for_tokens=True) as api:
        told = everything(api, {"authorization": f"Bearer {text}"})
        told += everything(api, {"authorization": f"Bearer {text}x"})
    assert "401" in caplog.text
    assert secret not in told
    assert secret not in caplog.text
    kept = [each for each in tmp_path.rglob("*") if each.is_file()]
    assert kept
    for file in kept:
        assert secret.encode() not in file.read_bytes(), file
