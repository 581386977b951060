"""Tokens: what each is good for and until when, with the database and without it."""

import json
import shutil
import stat
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest

from barbeque_api import admission, snapshot
from barbeque_py import clock
from barbeque_py.identity import EVERYBODY, Scope
from barbeque_py.issue import Wish, issue, revoke
from barbeque_py.store import Store, tokens
from barbeque_py.store.tokens import Token
from tests.api.served import JOB, UNSEEN, Running, define, error_code, parts_of, serving
from tests.stores import opened
from tests.waiting import wait_until

ADMIN = frozenset({Scope.ADMIN})
APP = frozenset({Scope.ENQUEUE, Scope.READ})


@pytest.fixture(
    scope="module", params=["sqlite", pytest.param("mariadb", marks=pytest.mark.mariadb)]
)
def asking(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    """One API that asks for tokens: none of its tests minds what the others made."""
    folder = tmp_path_factory.mktemp("asking")
    with ExitStack() as open_parts:
        url = f"sqlite:///{folder / 'barbeque.db'}"
        if request.param == "mariadb":
            url = open_parts.enter_context(request.getfixturevalue("mariadb").database())
        store = open_parts.enter_context(opened(url))
        store.write(define)
        yield open_parts.enter_context(serving(parts_of(store, folder), ask_for_tokens=True))


def made(
    store: Store, scopes: frozenset[Scope] = APP, app: str | None = "media", **more: Any
) -> tuple[Token, str]:
    return store.write(lambda tx: issue(tx, EVERYBODY, Wish("test", scopes, app, **more)))


def bearer(text: str) -> dict[str, str]:
    return {"authorization": f"Bearer {text}"}


def enqueue(api: Running, text: str) -> httpx.Response:
    return api.post("/v2/job_executions", JOB, headers=bearer(text))


def test_without_a_token_nothing_is_told_and_nothing_done(asking: Running) -> None:
    for answer in (
        asking.post("/v2/job_executions", JOB),
        asking.get("/v2/queues"),
        asking.get("/v2/nothing"),
        asking.get(f"/v1/job_executions/{UNSEEN}"),
        asking.post("/v2/queues/default/pause"),
    ):
        assert (answer.status_code, error_code(answer)) == (401, "unauthorized")
        assert answer.headers["www-authenticate"].startswith("Bearer")


def test_who_watches_the_process_needs_no_token(asking: Running) -> None:
    for path in ("/livez", "/readyz", "/", "/openapi.json"):
        assert asking.get(path).status_code == 200


def test_a_token_opens_what_its_scopes_say(asking: Running) -> None:
    _, app = made(asking.store)
    _, admin = made(asking.store, ADMIN, None)
    assert enqueue(asking, app).status_code == 201
    assert asking.get("/v2/queues", headers=bearer(app)).status_code == 200
    refused = asking.post("/v2/queues/default/pause", headers=bearer(app))
    assert (refused.status_code, error_code(refused)) == (403, "forbidden")
    assert "admin" in refused.text
    assert enqueue(asking, admin).status_code == 201
    assert asking.post("/v2/queues/default/pause", headers=bearer(admin)).status_code == 200


def test_a_token_for_reading_enqueues_nothing(asking: Running) -> None:
    _, text = made(asking.store, frozenset({Scope.READ}))
    answer = enqueue(asking, text)
    assert (answer.status_code, error_code(answer)) == (403, "forbidden")


def test_an_app_s_token_enqueues_for_no_other_app(asking: Running) -> None:
    _, text = made(asking.store)
    answer = asking.post("/v2/job_executions", JOB | {"application": "other"}, headers=bearer(text))
    assert (answer.status_code, error_code(answer)) == (404, "record_not_found")


def test_a_token_that_is_wrong_by_a_letter_is_strange(asking: Running) -> None:
    token, text = made(asking.store)
    other = "A" if text[-1] != "A" else "B"
    for wrong in (
        text[:-1] + other,
        text[:-1],
        text + "x",
        text.upper(),
        f"bq_{token.id}_" + "A" * 43,
        f"bq_{'0' * 12}_" + "A" * 43,
        "bq__",
        "nothing",
        "\xff\xfe",
    ):
        headers = [(b"authorization", b"Bearer " + wrong.encode("latin-1"))]
        answer = asking.client.get("/v2/queues", headers=headers)
        assert answer.status_code == 401, wrong
    for kind in ("Basic", "Token", ""):
        other_kind = {"authorization": f"{kind} {text}".strip()}
        assert asking.get("/v2/queues", headers=other_kind).status_code == 401
    assert asking.get("/v2/queues", headers={"authorization": f"bearer {text}"}).is_success


def test_a_token_made_a_moment_ago_is_known(asking: Running) -> None:
    for _ in range(2):
        _, text = made(asking.store)
        assert enqueue(asking, text).status_code == 201


def test_strange_tokens_cannot_keep_the_database_busy(
    asking: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[float] = []
    really = snapshot._read_names

    def read(tx: Any) -> Any:
        reads.append(clock.monotonic())
        return really(tx)

    monkeypatch.setattr(snapshot, "_read_names", read)
    headers = [bearer(f"bq_{number:012}_{'A' * 43}") for number in range(3)]
    for each in headers:
        assert asking.get("/v2/queues", headers=each).status_code == 401
    assert len(reads) <= 4
    assert all(b - a > 0.4 for a, b in pairwise(reads[1:]))


def test_an_expired_token_opens_nothing(asking: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    _, text = made(asking.store, lifetime=timedelta(hours=1))
    assert enqueue(asking, text).status_code == 201
    really = clock.now
    monkeypatch.setattr(clock, "now", lambda: really() + timedelta(hours=1))
    assert enqueue(asking, text).status_code == 401


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Count a second as a tenth."""
    monkeypatch.setattr(admission, "_SOON", admission._SOON / 10)
    monkeypatch.setattr(admission, "REVOKED_WITHIN", 1.0)


@pytest.mark.parametrize("idle", [True, False])
@pytest.mark.usefixtures("quick")
def test_a_revoked_token_opens_nothing_after_ten_seconds(asking: Running, idle: bool) -> None:
    token, text = made(asking.store)
    assert enqueue(asking, text).status_code == 201
    asking.store.write(lambda tx: revoke(tx, EVERYBODY, token.id))
    until = clock.monotonic() + admission.REVOKED_WITHIN
    while clock.monotonic() < until:
        if not idle:
            enqueue(asking, text)
        time.sleep(0.05)
    assert enqueue(asking, text).status_code == 401


def test_when_a_token_was_last_used_is_stored(sqlite_store: Store, tmp_path: Path) -> None:
    sqlite_store.write(define)
    token, text = made(sqlite_store)
    before = clock.now()
    with serving(parts_of(sqlite_store, tmp_path), ask_for_tokens=True) as api:
        assert enqueue(api, text).status_code == 201
        api.stop()
    found = sqlite_store.read(lambda tx: tokens.get(tx, token.id))
    assert found is not None
    assert found.last_used_at is not None
    assert before <= found.last_used_at <= clock.now()


def test_a_token_is_made_listed_rotated_and_revoked_over_http(asking: Running) -> None:
    _, admin = made(asking.store, ADMIN, None)
    shown = bearer(admin)
    wanted = {"name": "ci", "app": "media", "scopes": ["deploy", "read"], "lifetime": "90d"}
    first = asking.post("/v2/tokens", wanted, headers=shown).json()
    assert first["scopes"] == ["deploy", "read"]
    assert asking.get("/v2/apps", headers=bearer(first["token"])).status_code == 200
    second = asking.post(f"/v2/tokens/{first['id']}/rotate", headers=shown).json()
    for each in (first, second):
        assert asking.get("/v2/apps", headers=bearer(each["token"])).status_code == 200
    again = asking.post(f"/v2/tokens/{first['id']}/rotate", headers=shown)
    assert (again.status_code, error_code(again)) == (409, "conflict")
    third = asking.post(f"/v2/tokens/{second['id']}/rotate", {"overlap": "2h"}, headers=shown)
    assert third.status_code == 201
    listed = asking.get("/v2/tokens", headers=shown)
    live = {each["id"]: each["live"] for each in listed.json()["tokens"]}
    assert live[first["id"]] is False  # two of a line are good at once, never three
    assert live[second["id"]] is live[third.json()["id"]] is True
    secrets = [each["token"].split("_", 2)[2] for each in (first, second, third.json())]
    assert not any(secret in listed.text for secret in secrets)
    gone = asking.client.delete(f"/v2/tokens/{second['id']}", headers=shown)
    assert gone.json()["revoked_at"] is not None
    again = asking.client.delete(f"/v2/tokens/{second['id']}", headers=shown)
    assert again.json() == gone.json()
    unknown = asking.client.delete("/v2/tokens/nothing", headers=shown)
    assert (unknown.status_code, error_code(unknown)) == (404, "record_not_found")


WRONG: list[dict[str, object]] = [
    {"name": ""},
    {"name": " x"},
    {"name": "a\nb"},
    {"name": "x" * 101},
    {"scopes": []},
    {"scopes": ["root"]},
    {"scopes": "read"},
    {"scopes": [["read"]]},
    {"app": "media", "scopes": ["admin"]},
    {"lifetime": "soon"},
    {"lifetime": "0s"},
    {"lifetime": "4000d"},
    {"other": 1},
]


def test_what_no_token_may_be_is_400(asking: Running) -> None:
    _, admin = made(asking.store, ADMIN, None)
    for wrong in WRONG:
        body = {"name": "ci", "scopes": ["read"]} | wrong
        answer = asking.post("/v2/tokens", body, headers=bearer(admin))
        assert (answer.status_code, error_code(answer)) == (400, "invalid_parameter"), wrong


def test_a_token_for_an_app_that_is_not_there_is_404(asking: Running) -> None:
    _, admin = made(asking.store, ADMIN, None)
    body = {"name": "ci", "scopes": ["read"], "app": "mdeia"}
    answer = asking.post("/v2/tokens", body, headers=bearer(admin))
    assert (answer.status_code, error_code(answer)) == (404, "record_not_found")


def test_a_token_may_ask_so_often_and_no_other_pays_for_it(
    sqlite_store: Store, tmp_path: Path
) -> None:
    sqlite_store.write(define)
    parts = parts_of(sqlite_store, tmp_path)
    with serving(parts, ask_for_tokens=True, rate_limit=2) as api:
        _, text = made(api.store)
        _, other = made(api.store)
        answers = [api.get("/v2/queues", headers=bearer(text)) for _ in range(12)]
        assert [each.status_code for each in answers[:4]] == [200] * 4
        refused = answers[-1]
        assert (refused.status_code, error_code(refused)) == (429, "too_many_requests")
        assert int(refused.headers["retry-after"]) >= 1
        assert enqueue(api, other).status_code == 201
        wait_until(lambda: enqueue(api, text).status_code == 201, "there is room again")


class FarBroker:
    """A broker that needs no database, as SQS."""

    largest = 1024 * 1024

    def __init__(self) -> None:
        self.sent: list[Any] = []

    def send(self, queue: str, parcels: Any) -> None:
        self.sent += parcels


@contextmanager
def without_database(store: Store, folder: Path, **changes: Any) -> Iterator[Running]:
    """Serve an API whose database is away from the first moment on."""
    with closing(Store(store.url.render_as_string(hide_password=False))) as same:
        broker: Any = FarBroker()
        parts = replace(parts_of(same, folder), broker=broker)
        path = Path(store.url.database or "")
        away = path.with_name("away")
        away.mkdir()
        for each in path.parent.glob(f"{path.name}*"):
            shutil.move(each, away)
        try:
            with serving(parts, ask_for_tokens=True, **changes) as api:
                yield api
        finally:
            for each in away.iterdir():
                shutil.move(each, path.parent)
            away.rmdir()


def test_tokens_are_known_while_the_database_is_away_and_for_a_day(
    sqlite_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sqlite_store.write(define)
    home = tmp_path / "home"
    _, text = made(sqlite_store)
    with serving(parts_of(sqlite_store, home), ask_for_tokens=True) as api:
        assert enqueue(api, text).status_code == 201
    kept = home / "snapshot.json"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert text.split("_", 2)[2] not in kept.read_text()
    with without_database(sqlite_store, home) as api:
        assert enqueue(api, text).status_code == 201
        assert enqueue(api, text).status_code == 201
        assert enqueue(api, f"bq_{'0' * 12}_{'A' * 43}").status_code == 401
        assert api.get("/v2/queues", headers=bearer(text)).status_code == 503
    facts = json.loads(kept.read_text())
    old = clock.rfc3339(clock.now() - timedelta(hours=25))
    kept.write_text(json.dumps(facts | {"taken_at": old}))
    with without_database(sqlite_store, home) as api:
        answer = enqueue(api, text)
        assert answer.status_code == 503
        assert "retry-after" in answer.headers


def test_without_any_snapshot_tokens_answer_503(sqlite_store: Store, tmp_path: Path) -> None:
    sqlite_store.write(define)
    _, text = made(sqlite_store)
    with without_database(sqlite_store, tmp_path / "new") as api:
        assert enqueue(api, text).status_code == 503


def test_a_snapshot_of_another_database_opens_nothing(sqlite_store: Store, tmp_path: Path) -> None:
    sqlite_store.write(define)
    home = tmp_path / "home"
    _, text = made(sqlite_store)
    with serving(parts_of(sqlite_store, home), ask_for_tokens=True) as api:
        assert enqueue(api, text).status_code == 201
    kept = home / "snapshot.json"
    kept.write_text(json.dumps(json.loads(kept.read_text()) | {"database": "mysql://other"}))
    with without_database(sqlite_store, home) as api:
        assert enqueue(api, text).status_code == 503
