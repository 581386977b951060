"""Messages of every size reach the container byte for byte, as a variable where that fits."""

import hashlib
import json
import os
from dataclasses import dataclass
from typing import Any

import pytest

from barbeque_py import strict_json
from barbeque_py.executors.ecs_request import OVERRIDES
from tests.conformance.modes import Fleet, Mode
from tests.images import make_test_image

pytestmark = [pytest.mark.docker, pytest.mark.mariadb]

KIB = 1024
SCRIPT = """
if [ -n "${BARBEQUE_MESSAGE+x}" ]; then printf %s "$BARBEQUE_MESSAGE" | busybox sha256sum
else echo absent; fi
case "$BARBEQUE_MESSAGE_URL" in
http*) wget -q -O - "$BARBEQUE_MESSAGE_URL" | busybox sha256sum ;;
file://*) busybox sha256sum < "${BARBEQUE_MESSAGE_URL#file://}" ;;
*) echo absent ;;
esac
"""
TELL = """
if [ -n "$BARBEQUE_RESULT_FILE" ]; then
  echo '42% by file' > "$BARBEQUE_PROGRESS_FILE"; echo '{"by": "file"}' > "$BARBEQUE_RESULT_FILE"
else
  wget -q -O - --post-data '42% by wget' "$BARBEQUE_PROGRESS_URL" &&
  wget -q -O - --post-data '{"by": "wget"}' "$BARBEQUE_RESULT_URL"
fi
"""
ODD = 'ü\N{SNOWMAN}\N{GRINNING FACE}"\\\u2028\x7f e\u0301 </script> $HOME `id` %s '


@dataclass(frozen=True, slots=True)
class Got:
    """What the job found: SHA-256 of the variable and of what the address gave, or "absent"."""

    variable: str
    file: str
    overrides: int
    """Characters of the start's overrides, on a fleet."""


@pytest.fixture(scope="module")
def machine(modes: list[Mode]) -> Mode:
    modes[0].apply(manifest(make_test_image()))
    return modes[0]


@pytest.fixture(scope="module")
def sky(modes: list[Mode]) -> Fleet:
    assert isinstance(modes[1], Fleet)
    modes[1].apply(manifest(make_test_image()))
    return modes[1]


def manifest(image: str) -> dict[str, Any]:
    command = ["sh", "-c", SCRIPT]
    facts = {"memory": 64, "network": "none", "retry": {"limit": 0}}
    jobs = [
        {"name": "Read", "command": command} | facts,
        {"name": "ReadFile", "command": command, "message_file": True} | facts,
        {"name": "Tell", "command": ["sh", "-c", TELL], "report_files": True} | facts,
    ]
    app = {"name": "post", "image": image, "jobs": jobs}
    return {"apps": [app], "queues": [{"name": "default"}]}


def a_message(size: int) -> list[str]:
    """Return a message that is so many bytes of JSON: odd characters, then letters."""
    odd = strict_json.dumps([ODD, ""]).encode()
    letters = os.urandom(size).hex()[: size - len(odd)]
    message = [ODD, letters]
    assert len(strict_json.dumps(message).encode()) == size
    return message


def send(mode: Mode, message: object, job: str = "Read") -> str:
    return mode.enqueue("post", job, message)


def receive(mode: Mode, message_id: str) -> Got:
    shown = mode.reach(message_id, "succeeded", "failed", seconds=90)
    assert shown["state"] == "succeeded", (shown, mode.lines(message_id))
    variable, file = (text.split()[0] for _, text in mode.lines(message_id))
    return Got(variable, file, mode.variables(shown["attempts"][0]))


def digest(message: object) -> str:
    return hashlib.sha256(strict_json.dumps(message).encode()).hexdigest()


SIZES = {"6 KB": 6_500, "9 KB": 9_000, "300 KB": 300_000, "5 MB": 5_000_000}
ABSENT = "absent"


def test_messages_reach_a_container_of_one_machine_byte_for_byte(machine: Mode) -> None:
    messages = {name: a_message(size) for name, size in SIZES.items()}
    asked = {name: send(machine, message) for name, message in messages.items()}
    for name, message_id in asked.items():
        whole, small = digest(messages[name]), SIZES[name] <= 96 * KIB
        got = receive(machine, message_id)
        assert (got.variable, got.file) == ((whole, ABSENT) if small else (ABSENT, whole)), name


def test_messages_reach_a_container_of_a_fleet_byte_for_byte(sky: Fleet) -> None:
    messages = {name: a_message(size) for name, size in SIZES.items()}
    asked = {name: send(sky, message) for name, message in messages.items()}
    for name, message_id in asked.items():
        whole, got = digest(messages[name]), receive(sky, message_id)
        assert got.file == whole, name
        assert got.variable == (whole if name == "6 KB" else ABSENT), name
        assert got.overrides <= OVERRIDES


def test_on_a_fleet_the_variable_is_there_up_to_the_last_character_that_fits(sky: Fleet) -> None:
    """Sizes one by one around the limit; of each character the overrides have one, here."""
    empty = receive(sky, send(sky, "")).overrides  # its two quotation marks take four
    fits = OVERRIDES - empty
    letters = {more: "x" * (fits + more) for more in range(-2, 4)}
    asked = {more: send(sky, message) for more, message in letters.items()}
    got = {more: receive(sky, message_id) for more, message_id in asked.items()}
    assert {more: each.variable != ABSENT for more, each in got.items()} == {
        more: more <= 0 for more in letters
    }
    assert {more: got[more].overrides for more in (-2, -1, 0)} == {
        -2: OVERRIDES - 2,
        -1: OVERRIDES - 1,
        0: OVERRIDES,
    }
    assert all(each.overrides <= OVERRIDES for each in got.values())
    assert all(each.file == digest(letters[more]) for more, each in got.items())


def test_what_is_escaped_twice_is_counted_so(sky: Fleet) -> None:
    """A quotation mark takes four characters of the overrides, an emoji fourteen."""
    empty = receive(sky, send(sky, "")).overrides
    room = OVERRIDES - empty
    worst = {
        text: [text * (room // cost), text * (room // cost + 1)]
        for text, cost in {'"': 4, "\\": 4, "\N{GRINNING FACE}": 14, "\n": 3}.items()
    }
    asked = {text: [send(sky, each) for each in both] for text, both in worst.items()}
    for text, both in asked.items():
        last, first = (receive(sky, each) for each in both)
        assert (last.variable, first.variable) == (digest(worst[text][0]), ABSENT), text
        assert max(last.overrides, first.overrides) <= OVERRIDES
        assert [last.file, first.file] == list(map(digest, worst[text]))


def test_one_machine_gives_a_variable_up_to_96_kib_and_a_file_above_or_if_wished(
    machine: Mode,
) -> None:
    sizes = (96 * KIB - 1, 96 * KIB, 96 * KIB + 1)
    messages = {size: a_message(size) for size in sizes}
    asked = {size: send(machine, message) for size, message in messages.items()}
    wished = send(machine, "small", "ReadFile")
    for size, message_id in asked.items():
        got, whole = receive(machine, message_id), digest(messages[size])
        assert (got.variable, got.file) == (
            (whole, ABSENT) if size <= 96 * KIB else (ABSENT, whole)
        )
    got = receive(machine, wished)
    assert (got.variable, got.file) == (digest("small"), digest("small"))


@pytest.mark.parametrize(("number", "way"), [(0, "file"), (1, "wget")], ids=["machine", "fleet"])
def test_a_shell_tells_progress_and_result(modes: list[Mode], number: int, way: str) -> None:
    mode = modes[number]
    mode.apply(manifest(make_test_image()))
    message_id = send(mode, "x", "Tell")
    shown = mode.reach(message_id, "succeeded", "failed", seconds=90)
    assert shown["state"] == "succeeded", mode.lines(message_id)
    assert shown["result"] == {"by": way}
    assert (shown["progress"]["percent"], shown["progress"]["text"]) == (42.0, f"by {way}")


def test_a_body_above_the_limit_is_refused_before_anything_is_stored(machine: Mode) -> None:
    body = json.dumps({"application": "post", "job": "Read", "message": "x" * (16 * KIB * KIB)})
    kind = {"content-type": "application/json"}
    answer = machine.client.post("/v2/job_executions", content=body, headers=kind)
    assert answer.status_code == 413
