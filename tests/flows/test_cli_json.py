"""Every command prints JSON with --json, and nothing else on standard output."""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from barbeque_py.cli import root
from barbeque_py.notices import NoticeState
from barbeque_py.store import Store, Tx, notices, workers
from barbeque_py.tell import put
from tests.api.served import FAILURE, Running, bury_one, parts_of, serving
from tests.notices.samples import a_notice

FILE = """
apps:
  - name: media
    image: media:1
    notify: {email: [team@example.com]}
    jobs:
      - name: Thumbnail
        command: ["true"]
        retry: {limit: 0}
        schedules: [{name: nightly, cron: 0 3 * * *}]
queues:
  - name: default
"""
SERVERS = {"up", "api", "worker", "console"}
"""They stay, and have log lines instead of results."""
OTHERS = {"deploy aws run"}
"""What it prints is another command's, and so is the `--json` that stands behind it."""

REFUSED = {
    "import-barbeque": ("mysql2://nobody@127.0.0.1:9/none",),
    "subscribe": ("arn:aws:sns:us-east-1:123456789012:t", "media", "Thumbnail"),
    "unsubscribe": ("1",),
    "notices test": ("nobody",),
    "restore": ("no-such-file.tar",),
    "deploy aws plan": ("no installation",),
    "deploy aws apply": ("no installation",),
    "deploy aws status": ("no installation",),
    "deploy aws rollback": ("no installation",),
    "deploy aws destroy": ("no installation",),
}
"""What can't be had here: the error is words on standard error, an exit code, and no JSON."""


def commands(command: Any = None, *path: str) -> Iterator[tuple[str, Any]]:
    """Yield every command with its words."""
    command = command or typer.main.get_command(root.app)
    if not hasattr(command, "commands"):
        yield " ".join(path), command
        return
    for name, each in command.commands.items():
        yield from commands(each, *path, name)


COMMANDS = dict(commands())


class Typed:
    """What is typed, one command after another, and what of it was told."""

    def __init__(self, capfd: pytest.CaptureFixture[str]) -> None:
        self._capfd = capfd
        self.typed: set[str] = set()

    def ask(self, command: str, *words: str, code: int = 0) -> Any:
        """Return what the command printed: one value, or one a line."""
        ended, printed, complaint = self.run(command, *words)
        assert ended == code, (command, complaint)
        try:
            return json.loads(printed)
        except ValueError:
            return [json.loads(line) for line in printed.splitlines()]

    def run(self, command: str, *words: str) -> tuple[int, str, str]:
        self.typed.add(command)
        self._capfd.readouterr()
        code = root.run([*command.split(), *words, "--json"])
        return code, *self._capfd.readouterr()


@pytest.fixture
def server(
    sqlite_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Running]:
    with serving(parts_of(sqlite_store, tmp_path)) as running:
        for name, value in {
            "BARBEQUE_URL": str(running.client.base_url),
            "BARBEQUE_DATABASE": str(sqlite_store.url),
            "BARBEQUE_HOME": str(tmp_path),
            "BARBEQUE_EXECUTOR": "process:",
            "XDG_CONFIG_HOME": str(tmp_path / "config"),
        }.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr("sys.stdin", io.StringIO())
        yield running


@pytest.mark.parametrize("command", sorted(COMMANDS.keys() - SERVERS - OTHERS))
def test_every_command_has_it(command: str) -> None:
    assert any("--json" in each.opts for each in COMMANDS[command].params)


def test_every_command_prints_json_alone(
    server: Running, capfd: pytest.CaptureFixture[str]
) -> None:
    said = Typed(capfd)
    said.ask("migrate")
    _apply(said, server, FILE)
    assert said.ask("export")["apps"][0]["name"] == "media"
    _ask_of_dead_messages(said, server)
    _ask_of_jobs(said, server)
    _ask_of_workers(said, server)
    _ask_of_releases_and_queues(said)
    _ask_of_people(said, server)
    assert "answers" in said.ask("alive", "--port", str(server.client.base_url.port))["alive"]
    assert said.ask("backup", str(server.parts.home))["tables"]["apps"] == 1
    assert said.ask("doctor")["versions"]["barbeque-py"]
    assert said.ask("stats")["points"] == []
    assert said.ask("failures")["failures"] == []
    for command, words in REFUSED.items():
        code, printed, complaint = said.run(command, *words)
        assert (code != 0, printed, complaint != "") == (True, "", True), command
    assert said.typed == COMMANDS.keys() - SERVERS - OTHERS


def _apply(said: Typed, server: Running, text: str) -> None:
    file = server.parts.home / "apps.yaml"
    file.write_text(text)
    assert said.ask("apply", "-f", str(file))["changes"]


def _ask_of_jobs(said: Typed, server: Running) -> None:
    asked = ("media", "Thumbnail", '{"n": 1}')
    message_id = said.ask("enqueue", *asked, "--idempotency-key", "one")["message_id"]
    assert said.ask("enqueue", *asked, "--idempotency-key", "one")["message_id"] == message_id
    server.take_in()
    server.write_log(message_id, "out hello", sealed=True)
    server.run(FAILURE)
    assert said.ask("status", message_id)["attempts"][0]["command"] == ["true"]
    said.ask("logs", message_id)
    assert len(said.ask("list")["job_executions"]) == 2
    _apply(said, server, FILE.replace('"true"', '"false"'))  # what ran is what runs here
    assert said.ask("exec-local", message_id, "--process")["exit_code"] == 0
    said.ask("top")
    said.ask("retry", message_id)
    said.ask("cancel", message_id)
    said.ask("delete", "--app", "media", "--state", "cancelled", "--yes")
    server.store.write(_refused_notice)
    (notice,) = said.ask("notices list")["notices"]
    said.ask("notices show", notice["id"])
    said.ask("notices resend", notice["id"])


def _refused_notice(tx: Tx) -> None:
    notice = a_notice()
    put(tx, None, [notice])
    kept = notices.get(tx, notice.id)
    assert kept is not None
    notices.end(tx, kept.id, NoticeState.REFUSED, reason="550 no")


def _ask_of_releases_and_queues(said: Typed) -> None:
    said.ask("release", "media", "media:2")
    said.ask("rollback", "media")
    assert said.ask("releases", "media")["revisions"]
    said.ask("secret", "media")
    for command in ("queues", "subscriptions", "audit", "schedules list"):
        said.ask(command)
    for command in ("pause", "resume"):
        said.ask(command, "default")
    for verb in ("suspend", "resume", "run"):
        said.ask(f"schedules {verb}", "media/Thumbnail/nightly")
    said.ask("check", code=1)  # there is no worker


def _ask_of_workers(said: Typed, server: Running) -> None:
    server.store.write(lambda tx: workers.see(tx, "host/1/2/abc", "here"))
    said.ask("workers list")
    assert said.ask("workers drain", "abc", "--wait")["state"] == "drained"
    assert said.ask("workers undrain", "abc")["state"] == "working"
    server.store.write(lambda tx: workers.leave(tx, "host/1/2/abc"))


def _ask_of_people(said: Typed, server: Running) -> None:
    said.ask("login", str(server.client.base_url))
    said.ask("logout")
    made = said.ask("token create", "ours", "--scope", "read")
    said.ask("token list")
    said.ask("token rotate", made["id"])
    said.ask("token revoke", made["id"])
    said.ask("user add", "a@example.com")
    said.ask("user list")
    said.ask("user roles", "a@example.com", "--role", "admin")
    said.ask("user link", "a@example.com")
    said.run("user password", "a@example.com")
    said.ask("user disable", "a@example.com")


def _ask_of_dead_messages(said: Typed, server: Running) -> None:
    bury_one(server)
    (dead,) = said.ask("dead list")["dead_messages"]
    said.ask("dead show", str(dead["id"]))
    body = server.parts.home / "body.json"
    body.write_text('{"Type":"JobExecution","Application":"media","Job":"Thumbnail","Message":1}')
    said.ask("dead send", str(dead["id"]), "--edit", str(body))
    assert server.take_in() == 1
    server.run()
    bury_one(server)
    (dead,) = said.ask("dead list")["dead_messages"]
    said.ask("dead drop", str(dead["id"]))
