"""`barbeque doctor`: all that support needs, and no secret, wherever one was."""

import json
import tarfile
from contextlib import closing
from datetime import timedelta
from pathlib import Path

from barbeque_py.apps import App, JobDefinition, Queue
from barbeque_py.broker import Parcel
from barbeque_py.brokers.database import DatabaseBroker
from barbeque_py.enqueue import Request, enqueue
from barbeque_py.identity import EVERYBODY, Scope
from barbeque_py.ids import new_message_id
from barbeque_py.intake import Intake
from barbeque_py.issue import Wish, issue
from barbeque_py.logstores.directory import DirectoryLogStore
from barbeque_py.messages import JobMessage, Options
from barbeque_py.outcomes import Fate, Reason
from barbeque_py.settle import settle
from barbeque_py.store import Store, Tx, apps, outbox
from tests.flows.place import Place, alone
from tests.store.world import claim_some

__all__ = ["alone"]

CANARY = "c4n4ry"
SETTINGS = {
    "BARBEQUE_TOKEN": f"bq_{CANARY}token_of_the_command_line",
    "BARBEQUE_MAIL": f"smtps://me:{CANARY}-mail@mail.example.com",
    "BARBEQUE_MAIL_FROM": "jobs@example.com",
    "BARBEQUE_SLACK": f"xoxb-1-{CANARY}-slack",
    "BARBEQUE_OIDC_SECRET": f"{CANARY}-of-the-issuer",
    "BARBEQUE_PROXY_SECRET": f"{CANARY}-of-the-proxy-of-32-characters-at-least",
    "BARBEQUE_SENTRY": f"https://{CANARY}@sentry.example.com/1",
    "AWS_SECRET_ACCESS_KEY": f"{CANARY}/of/aws",
    "OTHER_PASSWORD": f"{CANARY} of something else",
}


def fill(tx: Tx) -> None:
    apps.put_queue(tx, Queue("default"))
    env = {"DB_PASSWORD": f"{CANARY}-definition"}
    apps.put_app(tx, App("media", "media:1", env=env))
    apps.put_job(tx, JobDefinition("media", "Encode", ("encode",)))


def hide_canaries(store: Store, folder: Path) -> str:
    """Put a secret wherever one may come to stand; return a token's text."""
    store.write(fill)
    broker, logs = DatabaseBroker(store), DirectoryLogStore(folder / "logs")
    body = f'{{"Type":"Nothing","password":"{CANARY}-body"}}'
    broker.send("default", [Parcel(body=body, app="media")])
    options = Options(concurrency_key=f"{CANARY}-key")
    asked = JobMessage(
        new_message_id(), "media", "Encode", "default", f'"{CANARY}-message"', options=options
    )
    enqueue(broker, logs, [Request(asked, "default")])
    Intake(store, broker, logs).take("default", wait=timedelta(0))
    (claimed,) = claim_some(store)
    detail = f"pull of mysql://me:{CANARY}-url@db failed: {CANARY}-definition is wrong"
    fate = Fate(Reason.NEVER_STARTED, detail=detail, blame_definition=True)
    store.write(lambda tx: settle(tx, claimed.attempt, fate))
    wish = Wish("ops", frozenset({Scope.ADMIN}))
    token = store.write(lambda tx: issue(tx, EVERYBODY, wish))[1]

    def fail(tx: Tx) -> None:
        error = f"https://hooks.slack.com/services/T/B/{CANARY} says {token}"
        for number in range(1, 4):
            outbox.postpone(tx, number, wait=timedelta(0), error=error)

    store.write(fail)
    return token


def test_the_archive_says_how_things_are_and_holds_no_secret(alone: Place) -> None:
    alone.say("migrate")
    with closing(Store(f"sqlite:///{alone.home}/barbeque.db")) as store:
        token = hide_canaries(store, alone.home)
    alone.more |= SETTINGS
    said = alone.say("doctor", "--output", "for-support.tar.gz")
    assert "for-support.tar.gz has it" in said
    path = alone.home.parent / "for-support.tar.gz"
    assert path.stat().st_mode & 0o077 == 0
    with tarfile.open(path) as archive:
        texts = {each.name: archive.extractfile(each) for each in archive.getmembers()}
        found = {Path(name).stem: file.read().decode() for name, file in texts.items() if file}
    whole = "".join(found.values())
    assert CANARY not in whole
    assert token not in whole
    assert token.split("_")[2] not in whole
    facts = {name: json.loads(text) for name, text in found.items()}
    assert facts["versions"]["packages"]["sqlalchemy"]
    assert facts["versions"]["schema"] == facts["schema"]
    assert facts["settings"]["BARBEQUE_SLACK"] == "***"
    assert facts["database"]["rows"]["executions"] == 1
    assert facts["gauges"]["dead"] == 1
    assert facts["gauges"]["lanes"]["default"]["running"] == 0
    kinds = {each["kind"].partition(":")[0] for each in facts["troubles"]}
    assert kinds >= {"dead message", "errand"}
    assert {"ok", "warning"} <= {each["level"] for each in facts["checks"]}
    again = alone.call("doctor", "--output", "for-support.tar.gz")
    assert "is there already" in again.stderr


def test_a_database_that_can_t_be_used_is_what_is_told(alone: Place) -> None:
    alone.more["BARBEQUE_DATABASE"] = f"mysql://me:{CANARY}-password@127.0.0.1:1/barbeque"
    found = json.loads(alone.say("doctor", "--json"))
    assert "can't be used" in found["database"]["fault"]
    assert CANARY not in json.dumps(found)
    assert not list(alone.home.parent.glob("*.tar.gz"))
