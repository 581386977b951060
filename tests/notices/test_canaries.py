"""Secrets of telling people stay secret: in no log, row, page, answer, error or message."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote, urljoin

import pytest
from sqlalchemy import select

from barbeque_console.app import create_app as create_console
from barbeque_console.parts import Shown
from barbeque_py.apps import App
from barbeque_py.backoff import RetryPolicy
from barbeque_py.cli.findings_notices import look_at_notices
from barbeque_py.notices import NoticeState
from barbeque_py.store import apps, notices, signing_secrets, tables
from barbeque_worker.courier import Backoff
from tests.asking import open_client
from tests.console.rigs import serve
from tests.notices.mailroom import OK, PASSWORD, USER, Mailroom, make_certificate, serve_mail
from tests.notices.slack_place import HOOK, TOKEN, Answer, SlackPlace, serve_slack
from tests.receiver import Received, Receiver, Reply
from tests.waiting import wait_until
from tests.worker.callback_site import Site, site

pytestmark = pytest.mark.filterwarnings("ignore:Requiring AUTH")  # smtps is encrypted before it
FAIL = b'{"result": "fail", "message": "no such video"}'
ROUTES_THAT_TELL = {"/v2/apps/{app}/signing_secrets", "/v2/export"}
"""For who may define the app: the webhook's secret, and the apply file with its Slack webhook."""
PAGES_THAT_TELL = ("/definition", "/edit")
"""How they end: for the same people, the definition as it is written."""


@dataclass(frozen=True)
class Told:
    """Everybody who is told, with all that they know."""

    at: Site
    mail: Mailroom
    slack: SlackPlace
    hook: Receiver


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Told]:
    certificate = make_certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.certificate))
    backoff = Backoff(first=timedelta(seconds=0.05), longest=timedelta(seconds=0.5))
    with serve_mail(certificate) as mail, serve_slack() as slack, Receiver() as hook:
        more: dict[str, Any] = {
            "BARBEQUE_MAIL": f"smtps://{USER}:{quote(PASSWORD, safe='')}@127.0.0.1:{mail.port}",
            "BARBEQUE_MAIL_FROM": "jobs@example.com",
            "BARBEQUE_SLACK": TOKEN,
            "BARBEQUE_SLACK_API": slack.api,
            "BARBEQUE_HOST": "https://barbeque.example.com",
        }
        with site(tmp_path, backoff=backoff, **more) as at:
            yield Told(at, mail, slack, hook)


def test_no_secret_is_seen_anywhere(told: Told, caplog: pytest.LogCaptureFixture) -> None:
    at = told.at
    with caplog.at_level("INFO"), caplog.at_level("WARNING", "httpx"):  # as processes of ours log
        message_id, token = fail_and_tell(told)
        answers = answers_of(at, message_id, token)
        pages = pages_of(at, message_id)
    assert len(pages) >= 5
    assert len(answers) >= 20
    rows = "\n".join(rows_of(at))
    signing = at.office.store.write(lambda tx: signing_secrets.of_app(tx, "app"))
    keys = [each.secret.removeprefix("whsec_") for each in signing]
    hook, secrets = (
        HOOK.rpartition("/")[2],
        [*keys, token, TOKEN, PASSWORD, quote(PASSWORD, safe="")],
    )
    settings = at.office.settings
    seen = {
        "the log": caplog.text,
        "settings": repr(settings) + repr(look_at_notices(settings)) + repr(signing),
        "messages": messages(told),
        **answers,
        **pages,
    }
    assert "is tried again" in caplog.text
    for where, text in seen.items():
        assert [each for each in (*secrets, hook) if each in text] == [], where
    # A definition's incoming webhook is kept, as it is needed; the other secrets are nowhere.
    assert [each for each in secrets if each in rows] == []


def fail_and_tell(told: Told) -> tuple[str, str]:
    """Let a job of a backend fail and everybody be told, each at the second try; return its ids."""
    at = told.at
    at.http.post("/v2/apps/app/signing_secrets")
    orders: list[Received] = []

    def work(order: Received) -> Reply:
        orders.append(order)
        return Reply(500, b"later") if len(orders) == 1 else Reply(200, FAIL)

    at.backend.answer = work
    letters = iter(["451 later"])
    posts = {"#ann": [Answer(error="invalid_auth")], "": [Answer(403, "invalid_token")]}
    calls = iter([Reply(500, b"no"), Reply(cut=True)])
    told.mail.answer = lambda _recipient, _stage: next(letters, OK)
    told.slack.answer = lambda channel: posts[channel].pop() if posts[channel] else None
    told.hook.answer = lambda _: next(calls, Reply(204))
    rules: dict[str, object] = {"slack": told.slack.hook, "webhook": told.hook.url}
    at.office.store.write(lambda tx: apps.put_app(tx, App("app", "", notify=rules)))
    at.define(retry=RetryPolicy(limit=0))
    to = {"email": ["ann@example.com"], "slack": "#ann"}
    message_id = at.office.enqueue("Encode", notify=to)
    at.office.end_of(message_id)

    def all_delivered() -> bool:
        execution = at.office.execution(message_id)
        assert execution is not None
        made = at.office.store.read(lambda tx: notices.of_execution(tx, execution.id))
        return [each.state for each in made] == [NoticeState.DELIVERED] * 4

    wait_until(all_delivered, "four are told")
    token = orders[0].json["callback_url"].partition("token=")[2]
    assert len(token) == 40
    return message_id, token


def answers_of(at: Site, message_id: str, token: str) -> dict[str, str]:
    """Return what each GET route of the API answers, and what a few that fail do."""
    (notice, *_) = at.http.get("/v2/notices").json()["notices"]
    names = {
        "app": "app",
        "message_id": message_id,
        "attempt_id": f"{message_id}-1",
        "notice_id": notice["id"],
        "number": "1",
        "user_id": "ann",
    }
    found = {}
    for path, verbs in at.http.get("/openapi.json").json()["paths"].items():
        if "get" in verbs and path not in ROUTES_THAT_TELL:
            found[path] = at.http.get(path.format(**names)).text
    for noun, body in (("result", b"{"), ("result", FAIL), ("log", b"late"), ("nothing", b"")):
        url = f"/v2/attempts/{message_id}-1/{noun}?token={token}"
        found[f"{noun} {body!r}"] = at.http.post(url, content=body).text
    found["another token"] = at.http.post(
        f"/v2/attempts/{message_id}-1/result?token={token[:-1]}", content=FAIL
    ).text
    return found


def pages_of(at: Site, message_id: str) -> dict[str, str]:
    """Return each page of the console that links lead to."""
    parts = at.office.parts
    shown = Shown(store=at.office.store, broker=parts.broker, logs=parts.logs, bell=parts.bell)
    found: dict[str, str] = {}
    with serve(create_console(shown)) as url, open_client(url) as browser:
        ahead = ["/", f"/job_executions/{message_id}", "/nowhere"]
        while ahead:
            path = ahead.pop()
            found[path] = browser.get(path).text
            linked = [each for each in links_in(found[path], path) if each not in found]
            ahead += [each for each in linked if not each.endswith(PAGES_THAT_TELL)]
    return found


def links_in(page: str, path: str) -> list[str]:
    """Return the pages that this one links to, each once and without its query."""
    linked = {each.partition('"')[0] for each in page.split('<a href="')[1:]}
    whole = {urljoin(path, each.partition("#")[0].partition("?")[0]) for each in linked}
    return [each for each in whole if each.startswith("/")]


def rows_of(at: Site) -> list[str]:
    """Return every row of the database, but of the table that keeps the signing secrets."""
    kept = [each for each in tables.metadata.sorted_tables if each.name != "signing_secrets"]
    return at.office.store.read(
        lambda tx: [str(tuple(row)) for table in kept for row in tx.execute(select(table))]
    )


def messages(told: Told) -> str:
    """Return all that was received, as it was received."""
    mails = [each.raw.decode() for each in told.mail.posts]
    hooks = [f"{dict(each.headers)} {each.body.decode()}" for each in told.hook.received]
    slack = [each.everything for each in told.slack.messages]
    assert (len(mails), len(slack), len(hooks)) == (1, 2, 3)
    return json.dumps([mails, hooks, slack])
