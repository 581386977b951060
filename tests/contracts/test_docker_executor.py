"""What is the Docker executor's alone; the promises of every executor are in test_executor.py."""

import itertools
import os
import socket
import struct
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from barbeque_py import clock
from barbeque_py.errors import ExecutorUnavailable, LaunchRefused, NoSuchLog
from barbeque_py.executor import Blueprint, Launch, Standing
from barbeque_py.executors.docker import DockerExecutor
from barbeque_py.executors.docker_log import LONGEST, Frames
from barbeque_py.executors.engine import Engine, engine_answers
from barbeque_py.ids import AttemptId
from barbeque_py.outcomes import Fate, Reason
from tests.contracts.docker_rig import DockerRig
from tests.contracts.own_engine import OwnEngine
from tests.contracts.registry import Registry, digest_of
from tests.waiting import wait_until

pytestmark = pytest.mark.docker


@pytest.fixture
def rig() -> Iterator[DockerRig]:
    with closing(DockerRig()) as rig:
        yield rig


@pytest.fixture
def executor(rig: DockerRig) -> DockerExecutor:
    return rig.executor()


@pytest.fixture
def engine(rig: DockerRig) -> Iterator[Engine]:
    """The same engine, for looking behind the executor's back."""
    with closing(Engine(rig.socket, 30)) as engine:
        yield engine


@pytest.fixture
def registry() -> Iterator[Registry]:
    with closing(Registry()) as registry:
        yield registry


@pytest.fixture
def own_engine() -> Iterator[OwnEngine]:
    with closing(OwnEngine()) as engine:
        yield engine


def wait_for_end(executor: DockerExecutor, attempt: AttemptId) -> Fate:
    return wait_until(lambda: executor.sightings([attempt])[attempt].fate, f"{attempt} has ended")


def run(executor: DockerExecutor, launch: Launch) -> Fate:
    executor.start(launch, "null")
    return wait_for_end(executor, launch.attempt)


def lines_of(executor: DockerExecutor, attempt: AttemptId) -> list[bytes]:
    """Return the whole log without its times, once the attempt has ended."""
    batches = executor.log(attempt).batches(follow=True)
    return [line.partition(b" ")[2] for batch in batches for line in batch]


def wait_for_line(executor: DockerExecutor, attempt: AttemptId, line: bytes) -> None:
    batches = executor.log(attempt).batches(follow=True)
    assert any(line in written for batch in batches for written in batch)


def create_only(engine: Engine, executor: DockerExecutor, launch: Launch) -> str:
    """Leave a container as a worker does that was killed between create and start."""
    name = executor._name(launch.attempt)
    content = executor._describe(launch)
    answer = engine.call("POST", f"/containers/create?name={name}", content=content)
    assert answer.status == 201, answer.sentence()
    return name


class Listener:
    """Hears an executor's events on a thread of its own."""

    def __init__(self, executor: DockerExecutor) -> None:
        self.heard: dict[AttemptId, float] = {}
        self.stop = Event()
        self.longest_silence = 0.0
        self._executor = executor
        self._thread = Thread(target=self._listen)
        self._thread.start()

    def _listen(self) -> None:
        last = clock.monotonic()
        for news in self._executor.events(self.stop):
            self.longest_silence = max(self.longest_silence, clock.monotonic() - last)
            last = clock.monotonic()
            self.heard.update(dict.fromkeys(news.sightings, last))

    def close(self) -> None:
        self.stop.set()
        self._thread.join(60)
        assert not self._thread.is_alive()


# Once


def test_a_second_start_of_an_ended_container_does_not_run_it_again(
    rig: DockerRig, executor: DockerExecutor
) -> None:
    launch = rig.launch("echo ran")
    run(executor, launch)
    assert rig.executor().start(launch, "null").standing is Standing.ENDED
    assert executor.start(launch, "null").standing is Standing.ENDED
    assert lines_of(executor, launch.attempt) == [b"out ran"]


def test_a_container_left_between_create_and_start_is_started_by_the_next_worker(
    rig: DockerRig, executor: DockerExecutor, engine: Engine
) -> None:
    launch = rig.launch("cat /barbeque/message.json", message_file=True)
    create_only(engine, executor, launch)
    assert executor.sightings([launch.attempt])[launch.attempt].standing is Standing.CREATED
    rig.executor().start(launch, '{"n": 1}')
    assert lines_of(executor, launch.attempt) == [b'out+ {"n": 1}']


# Fates


@pytest.mark.parametrize("script", ["tail /dev/zero", "sh -c 'tail /dev/zero'; exit 3"])
def test_a_command_that_uses_more_memory_than_its_limit_ends_out_of_memory(
    rig: DockerRig, executor: DockerExecutor, script: str
) -> None:
    # Docker 20.10 itself overlooks up to 3 % of these ends on a busy machine
    fates = (run(executor, rig.launch(script, memory=16)) for _ in range(3))
    assert any(fate.reason is Reason.OUT_OF_MEMORY for fate in fates)


def test_a_command_that_survives_the_end_of_a_greedy_child_ends_by_its_own_exit_code(
    rig: DockerRig, executor: DockerExecutor
) -> None:
    fate = run(executor, rig.launch("sh -c 'tail /dev/zero'; exit 0", memory=16))
    assert (fate.reason, fate.exit_code) == (Reason.EXITED, 0)


def test_a_command_that_the_image_lacks_never_started_and_is_the_definitions_fault(
    rig: DockerRig, executor: DockerExecutor
) -> None:
    fate = run(executor, rig.launch("", command=("convert", "a.png")))
    assert (fate.reason, fate.blame_definition) == (Reason.NEVER_STARTED, True)
    assert "'convert'" in fate.detail


def test_an_own_exit_code_127_is_an_exit(rig: DockerRig, executor: DockerExecutor) -> None:
    fate = run(executor, rig.launch("convert a.png"))
    assert (fate.reason, fate.exit_code) == (Reason.EXITED, 127)


def test_a_kill_from_outside_is_an_exit_and_no_interruption(
    rig: DockerRig, executor: DockerExecutor
) -> None:
    launch = rig.launch("sleep 60")
    executor.start(launch, "null")
    executor.stop(launch.attempt, kill=True)
    fate = wait_for_end(executor, launch.attempt)
    assert (fate.reason, fate.exit_code) == (Reason.EXITED, 137)


def test_times_are_the_engines_and_in_order(rig: DockerRig, executor: DockerExecutor) -> None:
    before = clock.now()
    fate = run(executor, rig.launch("usleep 300000"))
    assert fate.started_at is not None
    assert fate.finished_at is not None
    assert before < fate.started_at < fate.finished_at < clock.now()


# Refusals


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"image": "barbeque-absent:latest"}, "No such image"),
        ({"network": "nowhere"}, "network nowhere not found"),
        ({"capabilities": ("FLY",)}, "CAP_FLY"),
        ({"memory": 1}, "[Mm]inimum memory"),
    ],
)
def test_what_the_definition_asks_in_vain_is_refused_each_time_and_blamed_on_it(
    rig: DockerRig, executor: DockerExecutor, changes: dict[str, Any], words: str
) -> None:
    launch = rig.launch("echo ran", **changes)
    for _ in range(2):
        with pytest.raises(LaunchRefused, match=words) as refused:
            executor.start(launch, "null")
        assert refused.value.blame_definition


def test_a_start_that_failed_is_seen_as_never_started(
    rig: DockerRig, executor: DockerExecutor
) -> None:
    launch = rig.launch("echo ran", network="nowhere")
    with pytest.raises(LaunchRefused):
        executor.start(launch, "null")
    fate = executor.sightings([launch.attempt])[launch.attempt].fate
    assert fate is not None
    assert fate.reason is Reason.NEVER_STARTED


def test_more_cpus_than_the_engine_has_are_all_it_has(
    rig: DockerRig, executor: DockerExecutor
) -> None:
    assert run(executor, rig.launch("true", cpu=1024 * 512)).exit_code == 0


# Images


def test_an_absent_image_is_pulled_and_pinned_to_its_digest(
    executor: DockerExecutor, registry: Registry, engine: Engine
) -> None:
    name = f"{registry.address}/there"
    pinned = f"{name}@{digest_of(registry.manifest)}"
    try:
        assert executor.prepare(Blueprint("media", name)).image == pinned
        assert executor.prepare(Blueprint("media", pinned)).image == pinned
    finally:
        engine.call("DELETE", f"/images/{name}")


@pytest.mark.parametrize("path", ["absent:1", "secret/tool", "there:2"])
def test_a_registry_that_says_no_is_the_definitions_fault(
    executor: DockerExecutor, registry: Registry, path: str
) -> None:
    with pytest.raises(LaunchRefused, match=path) as refused:
        executor.prepare(Blueprint("media", f"{registry.address}/{path}"))
    assert refused.value.blame_definition


def test_a_registry_that_is_away_is_not_the_definitions_fault(
    executor: DockerExecutor, registry: Registry
) -> None:
    registry.close()
    with pytest.raises(LaunchRefused, match="build it here") as refused:
        executor.prepare(Blueprint("media", f"{registry.address}/there"))
    assert not refused.value.blame_definition


@pytest.mark.parametrize("name", ["Not A Name", "UPPER/case", "sha256:" + "0" * 64])
def test_a_name_that_no_image_can_have_is_the_definitions_fault(
    executor: DockerExecutor, name: str
) -> None:
    with pytest.raises(LaunchRefused, match=name) as refused:
        executor.prepare(Blueprint("media", name))
    assert refused.value.blame_definition


def test_an_image_built_anew_under_its_tag_is_used_within_seconds(
    rig: DockerRig, executor: DockerExecutor, engine: Engine
) -> None:
    name = f"barbeque-test-{rig.installation}:latest"
    tag = f"repo={name.partition(':')[0]}&tag=latest"
    engine.call("POST", f"/images/{rig.image}/tag?{tag}")
    try:
        first = executor.prepare(Blueprint("media", name))
        assert executor.prepare(Blueprint("media", name)) == first
        engine.call("POST", f"/images/create?fromSrc=-&{tag}", content=b"\0" * 10240)
        wait_until(
            lambda: executor.prepare(Blueprint("media", name)).image != first.image,
            "the new image is used",
        )
    finally:
        engine.call("DELETE", f"/images/{name}")


# Confinement


def test_a_container_is_confined_to_what_its_definition_allows(
    rig: DockerRig, executor: DockerExecutor, engine: Engine
) -> None:
    launch = rig.launch(
        "grep -E 'NoNewPrivs|CapEff' /proc/1/status", cpu=512, memory=32, pids=20,
        capabilities=("NET_RAW",),
    )  # fmt: skip
    run(executor, launch)
    assert lines_of(executor, launch.attempt) == [
        b"out CapEff:\t0000000000002000",
        b"out NoNewPrivs:\t1",
    ]
    inspected = engine.call("GET", f"/containers/{executor._name(launch.attempt)}/json").json()
    host = inspected["HostConfig"]
    assert host["Memory"] == host["MemorySwap"] == 32 * 1024 * 1024
    assert (host["NanoCpus"], host["PidsLimit"], host["NetworkMode"]) == (500_000_000, 20, "none")
    assert (host["AutoRemove"], host["RestartPolicy"]["Name"]) == (False, "no")
    assert host["LogConfig"]["Type"] == "local"


def test_a_container_is_findable_by_name_and_labels(
    rig: DockerRig, executor: DockerExecutor, engine: Engine
) -> None:
    launch = rig.launch("true")
    handle = executor.start(launch, "null").handle
    inspected = engine.call("GET", f"/containers/{handle}/json").json()
    assert inspected["Name"] == f"/barbeque-{rig.installation}-{launch.attempt}"
    assert inspected["Config"]["Labels"] == {
        "barbeque.installation": rig.installation,
        "barbeque.message_id": launch.message_id,
        "barbeque.attempt": "1",
        "barbeque.app": "media",
        "barbeque.job": "Thumbnail",
    }


def test_the_volume_of_a_message_file_goes_with_the_container(
    rig: DockerRig, executor: DockerExecutor, engine: Engine
) -> None:
    launch = rig.launch("true", message_file=True)
    run(executor, launch)
    path = f"/containers/{executor._name(launch.attempt)}/json"
    (mount,) = engine.call("GET", path).json()["Mounts"]
    executor.remove(launch.attempt)
    assert engine.call("GET", f"/volumes/{mount['Name']}").status == 404


# Other installations


def test_containers_of_another_installation_are_neither_seen_nor_heard_nor_touched(
    rig: DockerRig, executor: DockerExecutor
) -> None:
    with closing(DockerRig()) as other, closing(Listener(executor)) as listener:
        theirs, ours = other.launch("sleep 60"), rig.launch("true")
        their_executor = other.executor()
        their_executor.start(theirs, "null")
        executor.stop(theirs.attempt, kill=True)
        executor.remove(theirs.attempt)
        assert executor.remains() == []
        assert executor.sightings([theirs.attempt])[theirs.attempt].standing is Standing.ABSENT
        seen = their_executor.sightings([theirs.attempt])[theirs.attempt]
        assert seen.standing is Standing.RUNNING
        their_executor.stop(theirs.attempt, kill=True)
        wait_for_end(their_executor, theirs.attempt)
        run(executor, ours)
        wait_until(lambda: listener.heard.get(ours.attempt), "our end is heard")
        assert theirs.attempt not in listener.heard


def test_a_container_that_took_our_name_is_not_started(
    rig: DockerRig, executor: DockerExecutor, engine: Engine
) -> None:
    launch = rig.launch("echo ran")
    name = executor._name(launch.attempt)
    strange = {"Image": rig.image, "Cmd": ["true"]}
    engine.call("POST", f"/containers/create?name={name}", content=strange)
    try:
        with pytest.raises(LaunchRefused, match="not ours") as refused:
            executor.start(launch, "null")
        assert not refused.value.blame_definition
        assert executor.sightings([launch.attempt])[launch.attempt].standing is Standing.ABSENT
    finally:
        engine.call("DELETE", f"/containers/{name}")


# Logs


def test_a_long_line_comes_in_pieces_of_64_kib_and_the_open_end_is_marked(
    rig: DockerRig, executor: DockerExecutor
) -> None:
    launch = rig.launch("head -c 100000 /dev/zero | tr '\\0' x; echo; printf open")
    executor.start(launch, "null")
    assert lines_of(executor, launch.attempt) == [
        b"out+ " + b"x" * LONGEST,
        b"out " + b"x" * (100_000 - LONGEST),
        b"out+ open",
    ]


@pytest.mark.parametrize("driver", ["local", "json-file"])
def test_lines_around_the_size_of_the_engines_records_keep_their_ends(
    rig: DockerRig, executor: DockerExecutor, monkeypatch: pytest.MonkeyPatch, driver: str
) -> None:
    monkeypatch.setattr("barbeque_py.executors.docker._LOG", {"Type": driver, "Config": {}})
    sizes = [16383, 16384, 16385, 1, 32768, 0, 49152, LONGEST]
    launch = rig.launch(
        f"for n in {' '.join(map(str, sizes))}; do head -c $n /dev/zero | tr '\\0' x; echo; done"
    )
    executor.start(launch, "null")
    assert [len(line) - len(b"out ") for line in lines_of(executor, launch.attempt)] == sizes


def test_each_stream_is_exact_and_raw(rig: DockerRig, executor: DockerExecutor) -> None:
    launch = rig.launch("printf 'a\\r\\n\\n \\377b\\n'; seq 5000; seq 5001 9000 >&2")
    executor.start(launch, "null")
    lines = lines_of(executor, launch.attempt)
    out = [line[4:] for line in lines if line.startswith(b"out ")]
    err = [line[4:] for line in lines if line.startswith(b"err ")]
    assert out == [b"a\r", b"", b" \xffb", *(b"%d" % n for n in range(1, 5001))]
    assert err == [b"%d" % n for n in range(5001, 9001)]


def test_a_followed_log_has_its_last_lines(rig: DockerRig, executor: DockerExecutor) -> None:
    def follow(launch: Launch) -> list[bytes]:
        executor.start(launch, "null")
        return lines_of(executor, launch.attempt)

    launches = [rig.launch("head -c 99999 /dev/zero; echo; printf last") for _ in range(24)]
    with ThreadPoolExecutor(6) as threads:
        for lines in threads.map(follow, launches):
            assert lines[1:] == [b"out " + b"\0" * (99_999 - LONGEST), b"out+ last"]


def test_a_log_is_followed_while_it_is_written_and_silence_is_told_each_second(
    rig: DockerRig, executor: DockerExecutor
) -> None:
    launch = rig.launch("echo one; sleep 2.5; echo two")
    executor.start(launch, "null")
    told = [
        (clock.monotonic(), batch) for batch in executor.log(launch.attempt).batches(follow=True)
    ]
    assert [line.split()[-1] for _, batch in told for line in batch] == [b"one", b"two"]
    assert max(later - sooner for (sooner, _), (later, _) in itertools.pairwise(told)) < 1.5


def test_the_log_of_a_container_that_is_gone_is_no_such_log(
    rig: DockerRig, executor: DockerExecutor
) -> None:
    with pytest.raises(NoSuchLog):
        list(executor.log(rig.launch("true").attempt).batches(follow=False))


STAMP = b"2026-11-21T20:00:00.123456789Z "
RECORDS = [
    (1, b"one\n"), (2, b"par"), (1, b""), (1, b"x" * 16384), (2, b"tial\n"), (1, b"\n"),
    (2, b"e" * 70_000 + b"\n"), (1, b"two\n"), (2, b"open"),
]  # fmt: skip


@given(cuts=some.lists(some.integers(0, 90_000), max_size=40))
def test_frames_may_be_cut_anywhere(cuts: list[int]) -> None:
    stream = b"".join(
        struct.pack(">BxxxI", stream, len(STAMP + text)) + STAMP + text for stream, text in RECORDS
    )
    frames = Frames()
    edges = [0, *sorted(cuts), len(stream)]
    pieces = [stream[start:end] for start, end in itertools.pairwise(edges)]
    lines = [line for piece in pieces for line in frames.lines(piece)] + frames.rest()
    assert [line.removeprefix(STAMP) for line in lines] == [
        b"out one", b"err partial", b"out " + b"x" * 16384,
        b"err+ " + b"e" * LONGEST, b"err " + b"e" * (70_000 - LONGEST),
        b"out two", b"err+ open",
    ]  # fmt: skip


def test_a_log_that_the_engine_cant_read_any_further_ends_with_a_line_that_says_so(
    own_engine: OwnEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = {"Type": "json-file", "Config": {}}
    monkeypatch.setattr("barbeque_py.executors.docker._LOG", driver)
    with closing(DockerRig(own_engine.socket)) as rig, closing(Engine(rig.socket, 30)) as engine:
        executor = rig.executor()
        launch = rig.launch("seq 1000")
        run(executor, launch)
        path = f"/containers/{executor._name(launch.attempt)}/json"
        kept = Path(engine.call("GET", path).json()["LogPath"])
        os.truncate(kept, kept.stat().st_size - 7)
        *lines, last = lines_of(executor, launch.attempt)
        assert lines == [b"out %d" % n for n in range(1, 1000)]
        assert last.startswith(b"- [The Docker engine can't read the rest")


# Events


def test_an_end_is_heard_within_a_second_and_silence_is_told_each_second(
    rig: DockerRig, executor: DockerExecutor
) -> None:
    launch = rig.launch("sleep 2")
    with closing(Listener(rig.executor())) as listener:
        executor.start(launch, "null")
        heard = wait_until(lambda: listener.heard.get(launch.attempt), "the end is heard")
        fate = wait_for_end(executor, launch.attempt)
        assert fate.finished_at is not None
        late = (clock.now() - fate.finished_at).total_seconds() - (clock.monotonic() - heard)
        assert late < 20, "one where a machine is free"
        assert listener.longest_silence < 20


def test_many_attempts_are_seen_in_one_look(rig: DockerRig, executor: DockerExecutor) -> None:
    running, ended, absent = rig.launch("sleep 60"), rig.launch("exit 4"), rig.launch("true")
    executor.start(running, "null")
    run(executor, ended)
    seen = executor.sightings([running.attempt, ended.attempt, absent.attempt])
    assert seen[running.attempt].standing is Standing.RUNNING
    assert seen[absent.attempt].standing is Standing.ABSENT
    fate = seen[ended.attempt].fate
    assert fate is not None
    assert fate.exit_code == 4


# The engine away and back


def test_calls_one_after_another_share_a_connection(rig: DockerRig) -> None:
    with closing(Engine(rig.socket, 30)) as engine:
        engine.call("GET", "/_ping")
        (first,) = engine._idle
        engine.call("GET", "/containers/json?limit=1")
        engine.ask("GET", "/containers/none/json")
        assert list(engine._idle) == [first]


def test_an_absent_engine_is_unavailable_and_the_message_names_the_cure(tmp_path: Path) -> None:
    address = str(tmp_path / "docker.sock")
    assert not engine_answers(address)
    with (
        closing(DockerExecutor(installation="abcdef", socket=address)) as executor,
        pytest.raises(ExecutorUnavailable) as unavailable,
    ):
        executor.place()
    for words in (address, "start the engine", "BARBEQUE_EXECUTOR=process:"):
        assert words in str(unavailable.value)


@pytest.mark.parametrize(
    ("bytes_of_answer", "words"),
    [
        (b"", "no answer within 0.3 s"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{", "no answer within 0.3 s"),
        (b"SSH-2.0-OpenSSH\r\n", "not available"),
        (b'HTTP/1.1 500 X\r\nContent-Length: 18\r\n\r\n{"message":"full"}', "500: full"),
    ],
)
def test_an_engine_that_does_not_answer_as_it_should_is_unavailable(
    tmp_path: Path, bytes_of_answer: bytes, words: str
) -> None:
    address = str(tmp_path / "docker.sock")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen()
        executor = DockerExecutor(installation="abcdef", socket=address, timeout=0.3)
        speaker = Thread(target=speak_once, args=(listener, bytes_of_answer))
        speaker.start()
        with closing(executor), pytest.raises(ExecutorUnavailable, match=words):
            executor.place()
        speaker.join()


def speak_once(listener: socket.socket, words: bytes) -> None:
    """Take one connection, say the words, and keep it until the other side hangs up."""
    connection, _ = listener.accept()
    with connection:
        connection.sendall(words)
        while connection.recv(4096):
            pass


def test_an_answer_that_is_cut_short_is_unavailable_at_once(tmp_path: Path) -> None:
    address = str(tmp_path / "docker.sock")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen()
        executor = DockerExecutor(installation="abcdef", socket=address)
        speaker = Thread(target=hang_up_once, args=(listener,))
        speaker.start()
        with closing(executor), pytest.raises(ExecutorUnavailable, match="not available"):
            executor.place()
        speaker.join()


def hang_up_once(listener: socket.socket) -> None:
    listener.accept()[0].close()


def test_an_engine_killed_and_started_again_interrupts_what_ran(own_engine: OwnEngine) -> None:
    with closing(DockerRig(own_engine.socket)) as rig, closing(Engine(rig.socket, 30)) as engine:
        executor = rig.executor()
        running, ended = rig.launch("echo ran; sleep 60"), rig.launch("exit 3")
        left = rig.launch("echo ran")
        assert run(executor, ended).exit_code == 3
        executor.start(running, "null")
        create_only(engine, executor, left)
        wait_for_line(executor, running.attempt, b"ran")
        with closing(Listener(executor)) as listener:
            following = executor.log(running.attempt).batches(follow=True)
            assert next(following)
            own_engine.kill()
            with pytest.raises(ExecutorUnavailable):
                list(following)
            with pytest.raises(ExecutorUnavailable):
                executor.sightings([running.attempt])
            own_engine.start()
            assert wait_for_end(executor, running.attempt).reason is Reason.INTERRUPTED
            assert wait_for_end(rig.executor(), running.attempt).reason is Reason.INTERRUPTED
            assert wait_for_end(executor, ended.attempt).reason is Reason.EXITED
            assert executor.start(running, "null").standing is Standing.ENDED
            assert lines_of(executor, running.attempt) == [b"out ran"]
            unsure = executor.start(left, "null")
            assert unsure.fate is not None
            assert unsure.fate.reason is Reason.INTERRUPTED
            later = rig.launch("true")
            run(executor, later)
            wait_until(lambda: listener.heard.get(later.attempt), "the later end is heard")
            assert listener.longest_silence < 1.5


def test_an_engine_stopped_and_started_again_interrupts_what_ran(own_engine: OwnEngine) -> None:
    with closing(DockerRig(own_engine.socket)) as rig:
        executor = rig.executor()
        launch = rig.launch("sleep 60")
        executor.start(launch, "null")
        own_engine.stop()
        own_engine.start()
        assert wait_for_end(executor, launch.attempt).reason is Reason.INTERRUPTED
