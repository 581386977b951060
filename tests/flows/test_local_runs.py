"""`exec-local`: what an attempt ran, here, with nothing of it known to the server; and `top`."""

import json
import os
import subprocess

import pytest

from barbeque_py.cli import local_runs
from barbeque_py.cli.exits import Failure
from barbeque_py.environment import inherited
from barbeque_py.executor import Launch
from barbeque_py.ids import AttemptId, new_message_id
from tests.flows.place import Place, shop
from tests.images import make_test_image

__all__ = ["shop"]

MESSAGE = '{"n":"\u3042"}'


def a_launch(*command: str, **facts: object) -> Launch:
    message_id = new_message_id()
    known: dict[str, object] = {
        "attempt": AttemptId(f"{message_id}-2"),
        "message_id": message_id,
        "number": 2,
        "app": "media",
        "job": "Encode",
        "image": "none",
        "command": command,
        "environment": {"OWN": "a\nb", "BARBEQUE_JOB": "Encode"},
        "timeout": 30.0,
        "grace": 1.0,
    }
    return Launch(**(known | facts))  # type: ignore[arg-type]


def test_a_failure_is_seen_here_and_nothing_of_it_reaches_the_server(shop: Place) -> None:
    message_id = _failed(shop)
    before = shop.ask("status", message_id)
    ended = shop.call("exec-local", message_id, "--process")
    assert (ended.returncode, ended.stdout) == (1, "broken\n")
    assert "exited with 3" in ended.stderr
    assert shop.ask("status", message_id) == before
    told = json.loads(shop.call("exec-local", message_id, "--process", "--json").stdout)
    assert (told["exit_code"], told["timed_out"], told["result"]) == (3, False, None)
    assert shop.call("exec-local", message_id, "--process", "--attempt", "9").returncode == 4


def _failed(shop: Place) -> str:
    message_id = shop.enqueue("Broken")
    shop.until(message_id, "failed")
    return message_id


def test_the_message_and_the_environment_are_the_attempts(shop: Place) -> None:
    message_id = shop.enqueue("Echo", '{"size": 3}', "--wait").splitlines()[0]
    ended = shop.call("exec-local", message_id, "--process")
    assert (ended.returncode, sorted(ended.stdout.split())) == (0, ['{"size":3}'])
    assert "late" in ended.stderr


def test_top_shows_one_frame_for_people_and_for_programs(shop: Place) -> None:
    _failed(shop)
    frame = shop.say("top", "--once")
    assert "shop/Broken" in frame
    assert "default" in frame
    facts = shop.ask("top")
    assert {each["name"] for each in facts["queues"]} == {"default", "other"}
    assert facts["failing_jobs"][0]["job"] == "shop/Broken"
    assert facts["taken_in_last_minute"] >= 1


def test_a_process_has_only_what_the_attempt_had(capfd: pytest.CaptureFixture[str]) -> None:
    launch = a_launch("sh", "-c", 'env; cat "${BARBEQUE_MESSAGE_URL#file://}"; echo 7 >&2')
    given = {"PATH": os.defpath, "SECRET": "of the shell"}
    ended = local_runs.run_as_process(launch, MESSAGE, given, quiet=False)
    written = capfd.readouterr()
    assert (ended.exit_code, ended.result) == (0, None)
    assert "SECRET" not in written.out
    assert "OWN=a\nb\n" in written.out
    assert written.out.endswith(MESSAGE)
    assert written.err == "7\n"


def test_a_result_and_a_time_limit_are_kept() -> None:
    given = {"PATH": os.defpath}
    launch = a_launch("sh", "-c", 'echo "{}" > "$BARBEQUE_RESULT_FILE"; sleep 60', timeout=2.0)
    ended = local_runs.run_as_process(launch, MESSAGE, given, quiet=True)
    assert (ended.timed_out, ended.result) == (True, "{}")
    assert ended.seconds < 50
    with pytest.raises(Failure, match="not found"):
        local_runs.run_as_process(a_launch("no-such-command"), MESSAGE, given, quiet=True)


@pytest.mark.docker
def test_a_container_has_it_too_and_is_gone_afterwards(capfd: pytest.CaptureFixture[str]) -> None:
    image = make_test_image()
    script = 'echo "$OWN $BARBEQUE_MESSAGE"; cat /barbeque/message.json; echo 5 > /barbeque/result'
    launch = a_launch("sh", "-c", f"{script}; exit 4", image=image, memory=64)
    environment = inherited()
    assert local_runs.engine_answers(environment)
    ended = local_runs.run_in_docker(launch, MESSAGE, environment, quiet=False)
    assert (ended.exit_code, ended.result) == (4, "5")
    assert capfd.readouterr().out == f"a\nb {MESSAGE}\n{MESSAGE}"
    slow = a_launch("sleep", "60", image=image, timeout=1.0)
    assert local_runs.run_in_docker(slow, MESSAGE, environment, quiet=True).timed_out
    left = subprocess.run(
        ["docker", "ps", "-aq", "--filter", "name=exec-local-"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert left.stdout == ""
