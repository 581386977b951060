"""The verbs as people type them: real processes, one installation in a temporary home."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from barbeque_py.broker import Parcel
from barbeque_py.brokers.database import DatabaseBroker
from barbeque_py.store import Store
from tests.flows.place import (
    BARBEQUE,
    FILE,
    PATIENCE,
    Place,
    alone,
    free_port,
    is_alive,
    one_line,
    shop,
)
from tests.stores import make_sqlite
from tests.waiting import wait_until

__all__ = ["alone", "shop"]


def test_enqueue_follow_prints_the_log_alone_and_ends_with_the_jobs_end(shop: Place) -> None:
    ended = shop.call("enqueue", "shop", "Echo", '{"size": 3}', "--follow")
    assert (ended.returncode, sorted(ended.stdout.split())) == (0, ["late", '{"size":3}'])
    assert "the execution has succeeded" in ended.stderr


def test_logs_follow_goes_through_two_failures_to_the_success(shop: Place) -> None:
    ended = shop.call("logs", "-f", shop.enqueue("Flaky"))
    assert (ended.returncode, ended.stdout) == (0, "try 0\ntry 1\ntry 2\n")
    assert [line for line in ended.stderr.splitlines() if "attempt 1: exited with 1" in line]


def test_logs_follow_of_a_failure_ends_with_1(shop: Place) -> None:
    ended = shop.call("logs", "-f", shop.enqueue("Broken"))
    assert (ended.returncode, ended.stdout) == (1, "broken\n")
    assert "exited with 3; the execution has failed" in ended.stderr


def test_logs_show_a_tail_a_stream_and_times(shop: Place) -> None:
    message_id = shop.enqueue("Count", "--wait")
    lines = "".join(f"{n}\n" for n in range(1, 2501))
    assert shop.call("logs", message_id).stdout == lines
    assert shop.call("logs", message_id, "--tail", "2").stdout == "2499\n2500\n"
    assert shop.call("logs", message_id, "--stream", "err").stdout == ""
    stamped = shop.say("logs", message_id, "--tail", "1", "--timestamps")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z out 2500", stamped)


def test_status_as_json_tells_every_attempt(shop: Place) -> None:
    message_id = shop.enqueue("Flaky", "--wait")
    execution = shop.ask("status", message_id)
    assert execution["state"] == "succeeded"
    assert [each["exit_code"] for each in execution["attempts"]] == [1, 1, 0]
    assert "exited with 1" in shop.say("status", message_id)


def test_an_execution_no_worker_has_seen_is_queued_and_its_log_is_not_found(shop: Place) -> None:
    unseen = "00000000-0000-7000-8000-000000000000"
    assert shop.ask("status", unseen)["state"] == "queued"
    ended = shop.call("logs", unseen)
    assert ended.returncode == 4
    one_line(ended)


def test_retry_runs_an_ended_execution_again_and_refuses_an_open_one(shop: Place) -> None:
    message_id = shop.enqueue("Echo", "--wait")
    shop.say("retry", message_id)
    wait_until(lambda: len(shop.ask("status", message_id)["attempts"]) == 2)
    later = shop.enqueue("Echo", "--delay", "2h")
    wait_until(lambda: shop.ask("status", later).get("stage") == "scheduled")
    refused = shop.call("retry", later)
    assert refused.returncode == 1
    assert "it can be retried once it has ended" in one_line(refused)
    assert "cancelled" in shop.say("cancel", later)


def test_cancel_ends_a_running_job(shop: Place) -> None:
    message_id = shop.enqueue("Sleep")
    handle = shop.until(message_id, "running")["attempts"][0]["handle"]
    assert shop.call("retry", message_id).returncode == 1
    assert "cancel requested" in shop.say("cancel", message_id)
    ended = shop.call("logs", "-f", message_id)
    assert (ended.returncode, ended.stdout) == (1, "")
    wait_until(lambda: not is_alive(int(handle.split(":")[0])))
    assert shop.call("cancel", message_id).returncode == 1


def test_many_are_cancelled_retried_and_deleted_by_what_they_have_in_common(shop: Place) -> None:
    shop.say("pause", "other", "--reason", "a test of many")
    ids = [shop.enqueue("Echo", "--queue", "other") for _ in range(3)]
    wait_until(lambda: all(shop.ask("status", each).get("stage") == "ready" for each in ids))
    assert "is paused since" in shop.say("status", ids[0])
    assert "(a test of many)" in shop.say("status", ids[0])
    words = ("--queue", "other", "--state", "queued")
    assert shop.say("cancel", *words, "--dry-run") == "3 would be changed"
    unsure = shop.call("cancel", *words)
    assert unsure.returncode == 2
    assert "3 match: say --yes to cancel them, or --dry-run" in one_line(unsure)
    assert shop.say("cancel", *words, "--yes") == "3 changed"
    listed = shop.ask("list", "--queue", "other", "--status", "cancelled", "--since", "1h")
    assert {each["message_id"] for each in listed["job_executions"]} == set(ids)
    assert shop.ask("retry", "--queue", "other", "--state", "cancelled", "--yes")["changed"] == 3
    assert shop.say("cancel", *ids).count("cancelled") == 3
    assert shop.ask("delete", "--id", ids[0], "--dry-run")["found"] == 1
    assert shop.ask("delete", "--queue", "other", "--state", "cancelled", "-y")["changed"] == 3
    assert shop.ask("list", "--queue", "other", "--state", "cancelled")["job_executions"] == []
    shop.say("resume", "other")
    assert shop.call("cancel").returncode == 2
    assert shop.call("cancel", ids[0], "--app", "shop").returncode == 2


def test_retry_may_change_the_message(shop: Place) -> None:
    message_id = shop.enqueue("Echo", '{"n": 1}', "--wait").splitlines()[0]
    shop.say("retry", message_id, "--message", '{"n": 2}')
    wait_until(lambda: len(shop.ask("status", message_id)["attempts"]) == 2)
    shop.until(message_id, "succeeded")
    lines = [json.loads(line) for line in shop.say("logs", message_id, "--json").splitlines()]
    assert {"n": 2} in [json.loads(each["text"]) for each in lines if each["stream"] == "out"]
    assert {each["attempt"] for each in lines} == {2}


def test_completion_knows_the_verbs(alone: Place) -> None:
    ended = subprocess.run(
        [BARBEQUE],
        env={
            **alone.environment,
            "_BARBEQUE_COMPLETE": "complete_bash",
            "COMP_WORDS": "barbeque enq",
            "COMP_CWORD": "1",
        },
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert ended.stdout.split() == ["enqueue"]


def test_a_login_is_kept_for_this_user_alone_and_the_environment_wins(shop: Place) -> None:
    elsewhere = {name: text for name, text in shop.environment.items() if name != "BARBEQUE_URL"}
    home = shop.home.parent

    def call(*words: str, given: str = "", **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [BARBEQUE, *words],
            env=elsewhere | more,
            input=given,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    assert call("queues").returncode == 3
    assert call("login", f"http://127.0.0.1:{free_port()}").returncode == 3
    assert not (home / ".config" / "barbeque" / "login").exists()
    kept = call("login", shop.url, given="")
    assert kept.returncode == 0, kept.stderr
    path = home / ".config" / "barbeque" / "login"
    assert path.stat().st_mode & 0o777 == 0o600
    assert call("queues").returncode == 0
    assert call("queues", BARBEQUE_URL=f"http://127.0.0.1:{free_port()}").returncode == 3
    path.chmod(0o644)
    spoilt = call("queues")
    assert (spoilt.returncode, "chmod 600" in spoilt.stderr) == (2, True)
    assert call("logout").returncode == 0
    assert call("queues").returncode == 3
    assert "nobody is logged in" in call("logout").stdout


def test_a_paused_queue_takes_in_and_starts_nothing_until_it_is_resumed(shop: Place) -> None:
    shop.say("pause", "other")
    message_id = shop.enqueue("Echo", "--queue", "other")
    wait_until(lambda: shop.ask("status", message_id).get("stage") == "ready")
    listed = {each["name"]: each for each in shop.ask("queues")}
    assert listed["other"]["paused_at"] is not None
    assert listed["other"]["waiting"] == 1
    shop.say("resume", "other")
    shop.until(message_id, "succeeded")


def test_list_shows_the_newest_first_and_narrows(shop: Place) -> None:
    first, second = (shop.enqueue("Broken", "--queue", "other") for _ in range(2))
    for each in (first, second):
        shop.until(each, "failed")
    words = ("list", "--queue", "other", "--state", "failed", "--job", "Broken")
    found = shop.ask(*words)["job_executions"]
    assert [each["message_id"] for each in found][:2] == [second, first]
    assert first in shop.say(*words)


def test_a_dead_message_is_listed_mended_and_sent_again(shop: Place) -> None:
    store = Store(f"sqlite:///{shop.home}/barbeque.db")
    DatabaseBroker(store).send("default", [Parcel(body="no json", app="shop")])
    store.close()
    wait_until(lambda: shop.ask("dead", "list")["dead_messages"])
    number = str(shop.ask("dead", "list")["dead_messages"][0]["id"])
    assert shop.ask("dead", "show", number)["body"] == "no json"
    assert number in shop.say("dead")
    assert shop.call("dead", "send", number).returncode == 2
    body = {"Type": "JobExecution", "Application": "shop", "Job": "Echo", "Message": "mended"}
    message_id = shop.say("dead", "send", number, "--edit", "-", given=json.dumps(body))
    shop.until(message_id, "succeeded")
    assert shop.call("dead", "drop", number).returncode == 4


def test_apply_says_what_changes_and_a_dry_run_changes_nothing(shop: Place) -> None:
    changed = FILE.replace("2500", "25").replace("  - name: other\n", "")
    words = ("apply", "-f", "-", "--json")
    tried = json.loads(shop.say(*words, "--dry-run", given=changed))
    assert {"kind": "job", "name": "shop/Count", "change": "changed"} in tried["changes"]
    said = shop.say("apply", "-f", "-", given=FILE).splitlines()
    assert {line.split()[-1] for line in said} == {"unchanged"}


def test_apply_with_prune_removes_what_the_file_does_not_name(shop: Place) -> None:
    extra = FILE.replace(
        "queues:", "  - {name: extra, image: none, jobs: [{name: A, command: [a]}]}\nqueues:"
    )
    shop.say("apply", "-f", "-", given=extra)
    less = extra.replace("[{name: A, command: [a]}]", "[]")
    assert "removed" not in shop.say("apply", "-f", "-", given=less)
    assert "job    extra/A  removed" in shop.say("apply", "-f", "-", "--prune", given=less)


def test_a_faulty_file_is_refused_with_the_place_of_each_fault(shop: Place) -> None:
    ended = shop.call("apply", "-f", "-", given="apps:\n  - name: shop\n    imag: x\n    jobs: 3\n")
    assert ended.returncode == 2
    *faults, last = ended.stderr.splitlines()
    assert any(line.startswith("standard input:3:5: ") and "image" in line for line in faults)
    assert re.fullmatch(r"error: standard input has \d faults; nothing was changed", last)


def test_names_that_are_not_defined_are_refused_with_the_nearest(shop: Place) -> None:
    ended = shop.call("enqueue", "shop", "Ehco")
    assert ended.returncode == 4
    assert "did you mean Echo?" in one_line(ended)
    assert shop.call("enqueue", "shop", "Echo", "--queue", "nowhere").returncode == 4


@pytest.mark.parametrize(
    "words", [["frobnicate"], ["status"], ["status", "--colour", "1"], ["up", "--port", "x"]]
)
def test_a_wrong_command_is_one_line_that_names_the_help(alone: Place, words: list[str]) -> None:
    ended = alone.call(*words)
    assert ended.returncode == 2
    assert "--help`" in one_line(ended)


def test_a_wrong_setting_is_named(alone: Place) -> None:
    (alone.home.parent / "settings").write_text("BARBEQUE_RETENTION=soon\n")
    ended = alone.call("--env-file", "settings", "migrate")
    assert ended.returncode == 2
    assert "BARBEQUE_RETENTION" in one_line(ended)


def test_an_absent_server_is_named_with_the_cure(alone: Place) -> None:
    ended = alone.call("queues")
    assert ended.returncode == 3
    assert one_line(ended) == (
        f"error: no barbeque at {alone.url}: start one with `barbeque up`, or set BARBEQUE_URL\n"
    )


@pytest.mark.parametrize(
    ("message", "cure"),
    [("hello", "'\"hello\"'"), ("{name: 1}", "single quotes"), ("@absent", "can't be read")],
)
def test_a_message_that_is_not_json_is_refused_with_the_cure(
    alone: Place, message: str, cure: str
) -> None:
    ended = alone.call("enqueue", "shop", "Echo", message)
    assert ended.returncode == 2
    assert cure in one_line(ended)


def loaded_by(code: str, **settings: str) -> set[str]:
    nobody = {"PATH": "/usr/bin:/bin", "BARBEQUE_URL": f"http://127.0.0.1:{free_port()}"}
    ended = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys\nprint('\\n', *sys.modules)"],
        env=nobody | settings,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    return set(ended.stdout.splitlines()[-1].split())


def test_a_verb_over_http_loads_no_server_and_no_database() -> None:
    loaded = loaded_by("from barbeque_py.cli.root import run\nassert run(['status', 'x']) == 3")
    assert "httpx" in loaded
    heavy = {"fastapi", "starlette", "sqlalchemy", "alembic", "uvicorn", "boto3", "yaml", "jinja2"}
    assert loaded & heavy == set()


SERVERS = {"fastapi", "starlette", "sqlalchemy", "alembic", "uvicorn", "boto3", "jinja2", "pymysql"}


def test_help_and_enqueue_load_nothing_that_takes_its_time() -> None:
    """Each of these takes longer to load than a person would wait for a word of help."""
    shown = loaded_by("from barbeque_py.cli.root import run\nassert run(['--help']) == 0")
    late = {"httpx", "yaml", "pydantic", "barbeque_py.settings", "barbeque_py.client"}
    late |= {"http.client", "tarfile", "zipfile", "importlib.metadata"}
    assert shown & (SERVERS | late) == set()
    typed = loaded_by(
        "from barbeque_py.cli.root import run\nassert run(['enqueue', 'shop', 'Echo']) == 3"
    )
    assert "httpx" in typed
    assert typed & (SERVERS | {"yaml", "rich.markdown", "rich.table", "pygments"}) == set()


def test_a_worker_loads_no_server_and_nothing_that_migrates(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'barbeque.db'}"
    make_sqlite(tmp_path / "barbeque.db")
    code = "from barbeque_py.cli.root import run\nassert run(['worker', '--end-with-input']) == 0"
    worked = loaded_by(
        code, BARBEQUE_DATABASE=url, BARBEQUE_HOME=str(tmp_path), BARBEQUE_EXECUTOR="process:"
    )
    assert {"sqlalchemy", "barbeque_worker.loop"} <= worked
    assert worked & {"fastapi", "starlette", "uvicorn", "jinja2", "alembic", "boto3"} == set()


def test_importing_the_package_loads_nothing_and_the_client_httpx_only() -> None:
    packages = {name.partition(".")[0] for name in loaded_by("import barbeque_py.cli")}
    assert packages & {"typer", "httpx", "rich", "pydantic"} == set()
    packages = {name.partition(".")[0] for name in loaded_by("import barbeque_py.client")}
    assert packages & {"typer", "pydantic", "sqlalchemy", "yaml"} == set()


def test_notices_are_listed_shown_and_tested(shop: Place) -> None:
    message_id = shop.enqueue("Echo", "--wait", "--user", "nobody")
    found = wait_until(lambda: shop.ask("status", message_id)["notices"], "somebody is looked for")
    (notice,) = found
    assert (notice["state"], notice["target"]) == ("nobody", None)
    listed = shop.say("notices", "list", "--app", "shop")
    assert notice["id"] in listed
    assert "the app's address book has no user nobody" in listed
    assert "nobody" in shop.say("notices", "show", notice["id"])
    again = shop.call("notices", "resend", notice["id"])
    assert (again.returncode, "has no address" in again.stderr) == (1, True)
    test = shop.call("notices", "test", "shop")
    assert (test.returncode, "names nobody to tell" in test.stderr) == (1, True)
    wrong = shop.call("notices", "test", "shop", "--to", "pigeon:x")
    assert (wrong.returncode, "write email:ADDRESS" in wrong.stderr) == (2, True)
    sent = shop.call("notices", "test", "shop", "--to", "email:ann@example.com")
    assert (sent.returncode, "BARBEQUE_MAIL" in sent.stdout) == (1, True)
