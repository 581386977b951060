"""`up` and the processes one by one: how they start, stop, and what they refuse."""

import json
import os
import signal
import time
from typing import Any

import httpx
import pytest

from barbeque_py.store import Store, apps
from barbeque_py.tickets import ticket
from tests.asking import open_client
from tests.flows.place import (
    PATIENCE,
    Place,
    alone,
    free_port,
    is_alive,
    one_line,
    shop,
)
from tests.waiting import wait_until

__all__ = ["alone", "shop"]


def test_up_says_where_it_is_what_it_keeps_and_where_jobs_run(shop: Place) -> None:
    said = shop.output.read_text()
    assert f"barbeque is up at {shop.url}\n" in said
    assert f"home      {shop.home}\n" in said
    assert f"database  sqlite:///{shop.home}/barbeque.db\n" in said
    assert "jobs run  as processes of this machine, as BARBEQUE_EXECUTOR says\n" in said


def test_a_port_in_use_stops_up_before_anything_is_made(shop: Place, alone: Place) -> None:
    ended = alone.call("up", "--port", str(shop.port))
    assert ended.returncode == 1
    assert f"port {shop.port} of 127.0.0.1 is in use" in one_line(ended)
    assert "--port" in ended.stderr
    assert not alone.home.exists()


@pytest.mark.parametrize(
    ("verb", "host"),
    [("up", "0.0.0.0"), ("up", "::"), ("api", "192.0.2.1")],
)
def test_an_address_that_others_reach_is_refused(alone: Place, verb: str, host: str) -> None:
    ended = alone.call(verb, "--host", host)
    assert ended.returncode == 2
    assert "no authentication is configured" in one_line(ended)


@pytest.mark.parametrize(("verb", "login"), [("up", "link"), ("console", "none")])
def test_the_console_stays_at_home_while_it_has_no_way_in(
    alone: Place, verb: str, login: str
) -> None:
    alone.more |= {"BARBEQUE_AUTH": "tokens", "BARBEQUE_LOGIN": login}
    ended = alone.call(verb, "--host", "0.0.0.0")
    assert ended.returncode == 2
    assert "set BARBEQUE_LOGIN=users" in one_line(ended)
    assert "`barbeque user add`" in one_line(ended)


def test_up_prints_a_link_that_lets_one_browser_in(shop: Place) -> None:
    said = shop.output.read_text()
    link = said.partition("log in    ")[2].split()[0]
    assert link.startswith(f"{shop.url}/login/link?key=")
    headers = {"accept": "text/html", "origin": shop.url}
    with open_client(headers=headers, follow_redirects=True) as client:
        shown = client.get(f"{shop.url}/")
        assert shown.url.path == "/login"
        key = link.partition("key=")[2]
        page = client.post(f"{shop.url}/login/link", data={"key": key})
        assert page.status_code == 200
        assert page.url.path != "/login/link"
        assert "Log out" in client.get(f"{shop.url}/account").text
    with open_client(headers=headers) as client:
        again = client.post(f"{shop.url}/login/link", data={"key": key})
        assert again.status_code == 403
        assert "used already" in again.text


def test_members_come_in_from_anywhere_and_are_kept_out_again(alone: Place) -> None:
    alone.more |= {"BARBEQUE_LOGIN": "users", "BARBEQUE_HOST": "https://bq.example.com"}
    alone.say("migrate")
    made = json.loads(alone.say("user", "add", "Ann@example.com", "--role", "admin", "--json"))
    assert made["email"] == "ann@example.com"
    assert made["link"].startswith("https://bq.example.com/login/link?key=")
    alone.say("user", "password", "ann@example.com", given="correct horse battery\n")
    assert "is not a role" in one_line(alone.call("user", "add", "b@example.com", "--role", "x"))
    short = alone.call("user", "password", "ann@example.com", given="short\n")
    assert "a password has 12 to 200 characters" in one_line(short)
    form = {"email": "ann@example.com", "password": "correct horse battery"}
    headers = {"origin": "https://bq.example.com", "host": "bq.example.com"}
    with (
        alone.started("console", "--host", "0.0.0.0", "--port", str(alone.port)) as console,
        open_client(alone.url, headers=headers) as client,
    ):
        assert console.stdout is not None
        assert console.stdout.readline().startswith("barbeque console listens at ")
        come = client.post("/login", data=form)
        assert come.status_code == 303, come.text
        cookie = {"cookie": come.headers["set-cookie"].partition(";")[0]}
        assert client.get("/account", headers=cookie).status_code == 200
        (listed,) = json.loads(alone.say("user", "list", "--json"))
        assert (listed["roles"], listed["has_password"]) == (["admin"], True)
        assert listed["last_login_at"]
        alone.say("user", "disable", "ann@example.com")
        assert client.get("/account", headers=cookie).status_code in (303, 401)
        assert client.post("/login", data=form).status_code == 403


def test_an_api_that_asks_for_tokens_may_be_reached_from_anywhere(alone: Place) -> None:
    alone.more["BARBEQUE_AUTH"] = "tokens"
    alone.say("migrate")
    token = alone.say("token", "create", "ops", "--scope", "admin")
    words = ("api", "--host", "0.0.0.0", "--port", str(alone.port))
    with alone.started(*words) as api, open_client(alone.url) as client:
        assert api.stdout is not None
        assert api.stdout.readline().startswith("barbeque api listens at ")
        ended = alone.call("queues")
        assert ended.returncode == 1
        assert "show a token" in one_line(ended)
        alone.more["BARBEQUE_TOKEN"] = token
        assert alone.ask("queues") == []
        away = client.get("/v2/queues", headers={"host": "bq.example.com"})
        assert away.status_code == 401


@pytest.mark.parametrize("verb", ["api", "worker", "console"])
def test_without_a_database_a_process_says_what_makes_it(alone: Place, verb: str) -> None:
    words = [verb] if verb == "worker" else [verb, "--port", str(alone.port)]
    ended = alone.call(*words)
    assert ended.returncode == 3
    assert "`barbeque migrate`" in one_line(ended)
    assert not alone.home.exists()


def test_a_stop_is_quick_leaves_jobs_running_and_the_next_start_takes_them_up(
    alone: Place,
) -> None:
    up = alone.up()
    alone.say("apply", "-f", "barbeque.yaml")
    message_id = alone.enqueue("Nap")
    alone.until(message_id, "running")
    with alone.started("logs", "-f", message_id) as following:
        assert following.stdout is not None
        assert following.stdout.readline() == "asleep\n"
        began = time.monotonic()
        up.send_signal(signal.SIGINT)
        assert up.wait(PATIENCE) == 0
        assert time.monotonic() - began < 45
        assert "Traceback" not in alone.output.read_text()
        alone.up()
        printed, notes = following.communicate(timeout=PATIENCE)
        assert (following.returncode, printed) == (0, "awake\n")
        assert "still trying" in notes
    assert len(alone.ask("status", message_id)["attempts"]) == 1


def test_a_worker_that_dies_is_started_again_and_none_outlives_up(alone: Place) -> None:
    up = alone.up()
    alone.say("apply", "-f", "barbeque.yaml")
    wait_until(alone.workers)
    (worker,) = alone.workers()
    os.kill(worker, signal.SIGKILL)
    alone.say("enqueue", "shop", "Echo", "--wait")
    assert "the worker ended (signal 9) and is started again" in alone.output.read_text()
    (worker,) = alone.workers()
    up.kill()
    up.wait(PATIENCE)
    wait_until(lambda: not is_alive(worker))


def test_check_finds_attempts_at_a_place_without_a_worker_and_forgets_them_when_told(
    alone: Place,
) -> None:
    alone.up()
    alone.say("apply", "-f", "barbeque.yaml")
    assert alone.call("check").returncode == 0
    message_id = alone.enqueue("Nap")
    place = alone.until(message_id, "running")["attempts"][0]["place"]
    assert "a worker speaks to" in one_line(alone.call("check", "--forget-place", place))
    alone.down()

    def missed() -> Any:
        """Return what is found: at once, or a minute later of a worker that could not say so."""
        ended = alone.call("check", "--json")
        return json.loads(ended.stdout) if ended.returncode == 1 else None

    found = wait_until(missed, "the worker is missed", every=1)
    findings = {each["subject"]: each for each in found["findings"]}
    assert place in findings["place"]["sentence"]
    assert findings["workers"]["level"] == "warning"
    forgotten = json.loads(alone.say("check", "--forget-place", place, "--json"))
    assert forgotten["vanished"] == [f"{message_id}-1"]
    assert alone.call("check").returncode == 0


def test_migrate_names_the_installation_once(alone: Place) -> None:
    (alone.home.parent / "settings").write_text("BARBEQUE_INSTALLATION=prod01\n")
    made = json.loads(alone.say("--env-file", "settings", "migrate", "--json"))
    assert made["installation"] == "prod01"
    assert alone.ask("migrate") == made


def test_jobs_ask_at_an_address_of_their_own_where_nothing_else_answers(alone: Place) -> None:
    asking = free_port()
    settings = alone.home.parent / "settings"
    settings.write_text(f"BARBEQUE_JOB_LISTEN=0.0.0.0:{asking}\n")
    alone.say("migrate")
    words = ("--env-file", str(settings), "api", "--port", str(alone.port))
    with alone.started(*words) as api:
        assert api.stdout is not None
        assert api.stdout.readline() == f"barbeque api listens at {alone.url}\n"
        assert f"http://0.0.0.0:{asking}" in api.stdout.readline()
        wait_until(lambda: _answer(alone.port, "/livez") == 200)
        wait_until(lambda: _answer(asking, "/livez") == 404)
        message = "/v2/attempts/x-1/message?token=not-to-be-written"
        assert _body(alone.port, message)["message"] == "nothing has this address"
        assert "token is wrong" in _body(asking, message)["message"]
        assert _answer(asking, "/v2/queues") == 404
        api.send_signal(signal.SIGTERM)
        printed, wrote = api.communicate(timeout=PATIENCE)
        assert "not-to-be-written" not in printed + wrote
        assert "GET /v2/attempts/x-1/message 404" in wrote
        assert "Traceback" not in wrote
    assert not _answer(asking, "/livez")


def test_up_serves_jobs_beside_it_and_says_when_it_can_not(alone: Place) -> None:
    settings = alone.home.parent / "settings"
    settings.write_text(f"BARBEQUE_JOB_LISTEN=127.0.0.1:{alone.port}\n")
    words = ("--env-file", str(settings), "up", "--port", str(alone.port))
    ended = alone.call(*words)
    assert ended.returncode == 1
    assert "BARBEQUE_JOB_LISTEN is 127.0.0.1 port" in one_line(ended)
    assert not alone.home.exists()
    asking = free_port()
    settings.write_text(f"BARBEQUE_JOB_LISTEN=127.0.0.1:{asking}\n")
    with alone.started(*words) as up:
        wait_until(lambda: _answer(asking, "/livez") == 404)
        assert _answer(alone.port, "/login") == 200
        began = time.monotonic()
        up.send_signal(signal.SIGINT)
        printed, _ = up.communicate(timeout=PATIENCE)
        assert time.monotonic() - began < 45
        assert up.returncode == 0
        assert f"jobs ask  for their messages at http://127.0.0.1:{asking}\n" in printed


def test_a_job_gets_its_whole_message_while_the_api_is_stopped(alone: Place) -> None:
    settings = alone.home.parent / "settings"
    settings.write_text("BARBEQUE_MAX_BODY=16MiB\n")
    with alone.started("--env-file", str(settings), "up", "--port", str(alone.port)) as up:
        wait_until(lambda: _answer(alone.port, "/readyz") == 200)
        alone.say("apply", "-f", "barbeque.yaml")
        message = "x" * 15_000_000
        job = {"application": "shop", "job": "Nap", "queue": "default", "message": message}
        asked = httpx.post(f"{alone.url}/v2/job_executions", json=job).json()
        alone.until(asked["message_id"], "running")
        attempt = f"{asked['message_id']}-1"
        store = Store(f"sqlite:///{alone.home}/barbeque.db")
        token = ticket(store.read(apps.installation_secret), attempt)
        store.close()
        address = f"{alone.url}/v2/attempts/{attempt}/message?token={token}"
        with httpx.stream("GET", address) as answer:
            pieces = answer.iter_raw()
            size = len(next(pieces))
            up.send_signal(signal.SIGTERM)
            wait_until(lambda: _answer(alone.port, "/livez") == 0)
            assert size + sum(map(len, pieces)) == len(message) + 2
        up.communicate(timeout=PATIENCE)


def _answer(port: int, path: str) -> int:
    """Return the status of an answer, 0 when nobody listens."""
    try:
        return httpx.get(f"http://127.0.0.1:{port}{path}").status_code
    except httpx.ConnectError:
        return 0


def _body(port: int, path: str) -> dict[str, str]:
    found: dict[str, str] = httpx.get(f"http://127.0.0.1:{port}{path}").json()
    return found
