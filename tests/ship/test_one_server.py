"""One server by its compose file: jobs through it, each part killed, a backup that comes back."""

import re
from pathlib import Path
from typing import Any

import pytest

import image as media
import stage
from storage import Storage
from tests.ship.engine import docker, inspect, make_image, wait_until_healthy
from tests.ship.one_server import (
    PATIENCE,
    SERVICES,
    OneServer,
    make_database_image,
    one_server,
)
from tests.waiting import wait_until

pytestmark = [pytest.mark.soak, pytest.mark.docker, pytest.mark.timeout(1800)]

LINES = 25
NAP = f"""
apps:
  - name: drill
    image: {media.NAME}
    jobs:
      - name: Nap
        command: [sh, -c, 'for n in $(seq {LINES}); do echo "line $n"; sleep 1; done']
queues: [{{name: default}}]
"""


def test_a_server_from_nothing_through_kills_to_a_backup_in_another(tmp_path: Path) -> None:
    make_image()
    make_database_image()
    media.build_if_needed(print)
    file = tmp_path / "backup.tar"
    with one_server(tmp_path / "one", subnet="172.30.218") as server:
        server.up()
        only_the_worker_has_the_engine(server)
        server.token = server.inside("token", "create", "ops", "--scope", "admin")
        made = the_media_job_runs(server, tmp_path / "storage")
        made.append(a_job_survives_each_part(server))
        before = told_of(server, made)
        with file.open("wb") as backup:
            server.compose("exec", "-T", "backup", "barbeque", "backup", "-", output=backup)
        token = server.token
    with one_server(tmp_path / "two", subnet="172.30.219") as server:
        server.compose("up", "--detach", "database")
        wait_until_healthy(server.container("database"))
        restore = ("run", "--rm", "--no-deps", "-T", "backup", "restore", "-")
        with file.open("rb") as backup:
            assert "restored from" in server.compose(*restore, given=backup)
        server.up()
        server.token = token
        assert told_of(server, made) == before


def only_the_worker_has_the_engine(server: OneServer) -> None:
    has = {
        service: any(
            each["Destination"] == "/var/run/docker.sock"
            for each in inspect(server.container(service))["Mounts"]
        )
        for service in (*SERVICES, "backup")
    }
    assert [service for service, socket in has.items() if socket] == ["worker"]
    for service in ("api", "console", "worker", "backup"):
        host = inspect(server.container(service))["HostConfig"]
        assert (host["ReadonlyRootfs"], host["CapDrop"]) == (True, ["ALL"]), service


def the_media_job_runs(server: OneServer, files: Path) -> list[str]:
    server.say("apply", "-f", "barbeque.yaml")
    stage.make_sample(files / "sample.mp4")
    with Storage(files) as storage:
        at = f"http://127.0.0.1:{storage.port}/"
        video = f'{{"source": "{at}sample.mp4", "target": "{at}made/", "width": 160, "every": 10}}'
        made = [server.say("enqueue", "media", job, video) for job in ("Thumbnail", "Encode")]
        made.append(server.say("enqueue", "media", "Flaky"))
        for each in made:
            assert server.until(each, "succeeded", "failed")["state"] == "succeeded"
    assert len(list((files / "made").glob("thumbnail-*.jpg"))) == 3
    assert (files / "made" / "small.mp4").stat().st_size > 1000
    return made


def a_job_survives_each_part(server: OneServer) -> str:
    server.say("apply", "-f", "-", given=NAP)
    nap = server.say("enqueue", "drill", "Nap")
    server.until(nap, "running")
    for service in ("worker", "database", "api", "console", "backup"):
        server.crash(service)
    # An operator's `docker kill` is no crash: the engine leaves what he ended to him.
    for service in ("worker", "database", "api", "console", "backup"):
        docker("kill", server.container(service))
    server.up()
    wait_until(server.is_ready, "the API is ready", within=PATIENCE, every=0.5)
    a_backup_is_there(server)
    found = server.until(nap, "succeeded", "failed")
    assert (found["state"], len(found["attempts"])) == ("succeeded", 1)
    assert server.say("logs", nap).split("\n") == [f"line {n}" for n in range(1, LINES + 1)]
    return nap


def a_backup_is_there(server: OneServer) -> None:
    """One is made at the first start; what was killed left nothing behind."""

    def made() -> list[str]:
        listing = "import os; print(*os.listdir('/var/backups/barbeque'))"
        return server.compose("exec", "-T", "backup", "python3", "-c", listing).split()

    (name,) = wait_until(made, "a backup is made", within=PATIENCE, every=0.5)
    assert re.fullmatch(r"barbeque-[a-z0-9]{6}-\d{8}T\d{6}Z\.tar", name)


def told_of(server: OneServer, made: list[str]) -> dict[str, tuple[Any, str]]:
    """Return all that there is to know of the executions, and their logs."""
    listed = {each["message_id"] for each in server.ask("list")["job_executions"]}
    assert listed == set(made)
    return {each: (_facts(server.ask("status", each)), server.say("logs", each)) for each in made}


def _facts(found: dict[str, Any]) -> dict[str, Any]:
    """Leave out what is told of now."""
    return {name: value for name, value in found.items() if name not in ("waiting", "html_url")}
