"""What every executor promises."""

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import cast

import pytest

from barbeque_py import clock
from barbeque_py.errors import LaunchRefused, NoSuchLog
from barbeque_py.executor import Blueprint, Executor, Launch, News, Standing
from barbeque_py.ids import AttemptId
from barbeque_py.outcomes import Fate, Reason
from barbeque_py.reports import Progress, Report
from tests.contracts.callback_rig import CallbackRig
from tests.contracts.ecs_rig import EcsRig
from tests.contracts.process_rig import ProcessRig
from tests.contracts.rigs import (
    Rig,
    fate_of,
    look,
    output,
    run,
    stored,
    unknown_attempt,
    wait_for,
    written,
)
from tests.waiting import wait_until

OBEDIENT = "trap 'echo finishing; exit 7' TERM; echo ready; sleep 60 & wait"
"""Waits to be told to end, and takes its time to do so properly."""


def docker_rig() -> Rig:
    from tests.contracts.docker_rig import DockerRig  # noqa: PLC0415 - only where it is wanted

    return DockerRig()


def ecs_on_docker() -> Rig:
    from tests.contracts.docker_rig import SOCKET  # noqa: PLC0415 - only where it is wanted
    from tests.images import make_test_image  # noqa: PLC0415

    return EcsRig("docker", make_test_image(SOCKET))


LOCAL_RIGS = [
    pytest.param(ProcessRig, id="process"),
    pytest.param(docker_rig, id="docker", marks=pytest.mark.docker),
]
CONTAINER_RIGS = [
    *LOCAL_RIGS,
    pytest.param(EcsRig, id="ecs"),
    pytest.param(ecs_on_docker, id="ecs-docker", marks=pytest.mark.docker),
]
CALLBACKS = pytest.param(CallbackRig, id="callback")
RIGS = [*CONTAINER_RIGS, CALLBACKS]
containers = pytest.mark.parametrize("rig", CONTAINER_RIGS, indirect=True)
"""Promised by what runs a command in an image; the ends of callbacks are settled as they are heard,
so nobody has to be told of them.
"""
local_or_callbacks = pytest.mark.parametrize("rig", [*LOCAL_RIGS, CALLBACKS], indirect=True)
"""Promised where a kill is at once, and what ended is kept until it is removed."""
local = pytest.mark.parametrize("rig", LOCAL_RIGS, indirect=True)
"""Promised by executors of one machine: they keep every byte until it is removed, and kill at once.

On ECS the log is awslogs's: lines without their stream, UTF-8 without empty lines; ECS kills when
the definition's grace is over, and forgets by itself.
"""


@pytest.fixture(scope="module", params=RIGS)
def rig(request: pytest.FixtureRequest) -> Iterator[Rig]:
    rig = cast("Callable[[], Rig]", request.param)()
    yield rig
    rig.close()


@pytest.fixture
def executor(rig: Rig) -> Executor:
    return rig.executor()


def start_obedient(rig: Rig, executor: Executor) -> Launch:
    launch = rig.launch(OBEDIENT)
    executor.start(launch, "{}")
    wait_until(lambda: b"ready" in output(executor, launch), "the job is ready")
    return launch


def test_a_place_has_one_name_and_some_slots(rig: Rig, executor: Executor) -> None:
    assert executor.place()
    assert executor.place() == rig.executor().place()
    assert (executor.slots() or 1) >= 1


@containers
def test_an_image_is_prepared_again_under_the_same_name(rig: Rig, executor: Executor) -> None:
    prepared = executor.prepare(Blueprint("media", rig.image))
    assert executor.prepare(Blueprint("media", rig.image)) == prepared
    assert prepared.place == executor.place()
    assert executor.serves(prepared.place)
    assert run(executor, rig.launch("true", image=prepared.image)).fate


def test_a_command_runs_and_its_exit_code_and_times_are_told(rig: Rig, executor: Executor) -> None:
    before = clock.now()
    launch = rig.launch("echo done")
    sighting = run(executor, launch)
    after = clock.now()
    fate = sighting.fate
    assert fate is not None
    assert (fate.reason, fate.exit_code) == (Reason.EXITED, 0)
    assert fate.started_at is not None
    assert fate.finished_at is not None
    assert before <= fate.started_at <= fate.finished_at <= after
    assert sighting.handle
    assert output(executor, launch) == b"done\n"


@pytest.mark.parametrize("code", [1, 3, 127, 255])
def test_another_exit_code_is_told_as_it_is(rig: Rig, executor: Executor, code: int) -> None:
    fate = run(executor, rig.launch(f"exit {code}")).fate
    assert fate is not None
    assert (fate.reason, fate.exit_code) == (Reason.EXITED, code)


def test_a_running_attempt_is_seen_with_its_handle_and_start(rig: Rig, executor: Executor) -> None:
    launch = start_obedient(rig, executor)
    sighting = look(executor, launch.attempt)
    assert sighting.standing is Standing.RUNNING
    assert sighting.handle
    assert sighting.fate is None
    executor.stop(launch.attempt, kill=True)


def test_starting_twice_runs_it_once(rig: Rig, executor: Executor) -> None:
    launch = rig.launch("echo ran; sleep 0.3")
    first = executor.start(launch, "{}")
    second = executor.start(launch, "{}")
    assert first.handle == second.handle
    fate_of(executor, launch)
    assert output(executor, launch) == b"ran\n"


def test_starting_an_ended_one_again_does_not_run_it(rig: Rig, executor: Executor) -> None:
    launch = rig.launch("echo ran; exit 3")
    ended = run(executor, launch)
    for again in (executor, rig.executor()):
        assert again.start(launch, "{}").fate == ended.fate
    assert look(executor, launch.attempt) == ended
    assert output(executor, launch) == b"ran\n"


def test_racing_starts_of_two_workers_run_it_once(rig: Rig, executor: Executor) -> None:
    launch = rig.launch("echo ran; sleep 1")
    workers = [executor, rig.executor()] * 4
    together = threading.Barrier(len(workers))

    def start(worker: Executor) -> Standing:
        together.wait()
        return worker.start(launch, "{}").standing

    with ThreadPoolExecutor(len(workers)) as threads:
        assert set(threads.map(start, workers)) <= {Standing.RUNNING, Standing.ENDED}
    fate_of(executor, launch)
    assert output(executor, launch) == b"ran\n"


@containers
def test_a_missing_command_is_the_definitions_fault_and_never_runs(
    rig: Rig, executor: Executor
) -> None:
    launch = rig.launch("", command=("no-such-command", "--at-all"))
    for worker in (executor, executor, rig.executor()):
        reason, blame = refusal(worker, launch)
        assert "no-such-command" in reason
        assert blame
        assert look(worker, launch.attempt).standing in (Standing.CREATED, Standing.ENDED)


def refusal(executor: Executor, launch: Launch) -> tuple[str, bool]:
    """Start what can't be started; return why, and whether the definition is at fault."""
    try:
        fate = executor.start(launch, "{}").fate
    except LaunchRefused as refused:
        return refused.reason, refused.blame_definition
    fate = fate or fate_of(executor, launch)
    assert (fate.reason, fate.exit_code) == (Reason.NEVER_STARTED, None)
    return fate.detail, fate.blame_definition


def test_a_stopped_job_may_finish_properly(rig: Rig, executor: Executor) -> None:
    launch = start_obedient(rig, executor)
    executor.stop(launch.attempt, kill=False)
    assert fate_of(executor, launch).exit_code == 7
    assert output(executor, launch) == b"ready\nfinishing\n"


@local_or_callbacks
def test_a_killed_job_does_nothing_more(rig: Rig, executor: Executor) -> None:
    launch = start_obedient(rig, executor)
    executor.stop(launch.attempt, kill=True)
    assert fate_of(executor, launch).exit_code == 137
    assert output(executor, launch) == b"ready\n"


def test_a_job_that_ignores_the_stop_can_be_killed(rig: Rig, executor: Executor) -> None:
    launch = rig.launch("trap '' TERM; echo ready; while :; do sleep 0.1; done")
    executor.start(launch, "{}")
    wait_until(lambda: output(executor, launch), "the job is ready")
    executor.stop(launch.attempt, kill=False)
    executor.stop(launch.attempt, kill=True)
    assert fate_of(executor, launch).exit_code == 137


def test_stopping_what_does_not_run_changes_nothing(rig: Rig, executor: Executor) -> None:
    launch = rig.launch("true")
    ended = run(executor, launch)
    unknown = unknown_attempt()
    for kill in (False, True):
        executor.stop(launch.attempt, kill=kill)
        executor.stop(unknown, kill=kill)
    assert look(executor, launch.attempt) == ended
    assert look(executor, unknown).standing is Standing.ABSENT


@local
def test_the_log_has_both_streams_each_in_its_order(rig: Rig, executor: Executor) -> None:
    script = 'i=0; while [ "$i" -lt 2000 ]; do echo "o$i"; echo "e$i" >&2; i=$((i+1)); done'
    launch = rig.launch(script)
    run(executor, launch)
    assert output(executor, launch) == b"".join(b"o%d\n" % i for i in range(2000))
    assert output(executor, launch, "err") == b"".join(b"e%d\n" % i for i in range(2000))


def test_a_log_reads_the_same_each_time(rig: Rig, executor: Executor) -> None:
    launch = rig.launch("for i in 1 2 3 4 5 6; do echo o; echo e >&2; done")
    run(executor, launch)
    assert stored(executor.log(launch.attempt)) == stored(executor.log(launch.attempt))
    assert stored(
        executor.log(
            launch.attempt,
        ),
        follow=True,
    ) == stored(rig.executor().log(launch.attempt))


def test_lines_carry_the_time_they_were_written_at(rig: Rig, executor: Executor) -> None:
    launch = rig.launch("echo one; sleep 0.3; echo two")
    before = clock.now()
    run(executor, launch)
    after = clock.now()
    times = [line.split(b" ")[0].decode() for line in stored(executor.log(launch.attempt))]
    assert times == sorted(times)
    assert clock.rfc3339(before) < times[0] < times[1] < clock.rfc3339(after)


def test_a_log_is_followed_while_the_job_runs_and_ends_with_it(
    rig: Rig, executor: Executor
) -> None:
    launch = rig.launch(OBEDIENT)
    executor.start(launch, "{}")
    batches = rig.executor().log(launch.attempt).batches(follow=True)
    lines: list[bytes] = []
    while not lines:
        lines += next(batches)
    assert look(executor, launch.attempt).standing is Standing.RUNNING
    executor.stop(launch.attempt, kill=False)
    for batch in batches:
        lines += batch
    assert written(lines) == b"ready\nfinishing\n"
    assert look(executor, launch.attempt).standing is Standing.ENDED


@local_or_callbacks
def test_a_followed_log_yields_nothing_each_second_while_nothing_is_written(
    rig: Rig, executor: Executor
) -> None:
    launch = start_obedient(rig, executor)
    batches = executor.log(launch.attempt).batches(follow=True)
    assert written(next(filter(None, batches))) == b"ready\n"
    for _ in range(3):
        asked = clock.monotonic()
        assert next(batches) == []
        assert clock.monotonic() - asked < 30
    executor.stop(launch.attempt, kill=True)
    assert not any(batches)


@local
def test_a_last_line_without_a_newline_is_flagged(rig: Rig, executor: Executor) -> None:
    launch = rig.launch("echo whole; printf cut; printf cut-too >&2")
    run(executor, launch)
    marked = sorted(line.split(b" ", 2)[1:] for line in stored(executor.log(launch.attempt)))
    assert marked == [[b"err+", b"cut-too"], [b"out", b"whole"], [b"out+", b"cut"]]


@local
def test_a_very_long_line_comes_in_pieces_and_whole(rig: Rig, executor: Executor) -> None:
    launch = rig.launch("head -c 300000 /dev/zero | tr '\\0' x; echo; echo after")
    run(executor, launch)
    lines = stored(executor.log(launch.attempt))
    assert written(lines) == b"x" * 300000 + b"\nafter\n"
    assert max(len(line.split(b" ", 2)[2]) for line in lines) <= 64 * 1024


@local
def test_any_byte_in_the_output_is_kept(rig: Rig, executor: Executor) -> None:
    junk = bytes(range(256)) * 3 + b"\r\n\r\n\n \n+ \x80"
    launch = rig.launch("printf '" + "".join(f"\\{byte:03o}" for byte in junk) + "'")
    run(executor, launch)
    assert output(executor, launch) == junk


@local_or_callbacks
def test_empty_lines_are_lines(rig: Rig, executor: Executor) -> None:
    launch = rig.launch("echo; echo; echo ' '; echo")
    run(executor, launch)
    assert output(executor, launch) == b"\n\n \n\n"


def tells_end(news: News, attempt: AttemptId) -> bool:
    """Tell whether the news are of the attempt's end, or of something that has to be looked at."""
    told = news.sightings.get(attempt)
    return attempt in news.sightings and (told is None or told.standing is Standing.ENDED)


@containers
def test_an_end_is_told_within_two_seconds_also_of_what_others_started(
    rig: Rig, executor: Executor
) -> None:
    stop = threading.Event()
    events = executor.events(stop)
    assert wait_until(lambda: not next(events).sightings, "it listens, and all is quiet")
    launch = start_obedient(rig, rig.executor())
    rig.executor().stop(launch.attempt, kill=False)
    told = wait_until(lambda: tells_end(next(events), launch.attempt), "the end is told")
    late = clock.now() - cast("Fate", look(executor, launch.attempt).fate).finished_at  # type: ignore[operator]
    assert told
    assert late < timedelta(seconds=20)
    stop.set()
    assert not any(news.sightings for news in events)


@local_or_callbacks
def test_silence_is_told_each_second(rig: Rig, executor: Executor) -> None:
    stop = threading.Event()
    events = executor.events(stop)
    for _ in range(3):
        asked = clock.monotonic()
        next(events)
        assert clock.monotonic() - asked < 30
    stop.set()
    assert not any(news.sightings for news in events)


def test_many_attempts_are_seen_at_once(rig: Rig, executor: Executor) -> None:
    launches = [rig.launch(f"exit {code}") for code in range(5)]
    for launch in launches:
        run(executor, launch)
    unknown = unknown_attempt()
    attempts = [*(launch.attempt for launch in launches), unknown]
    seen = executor.sightings(attempts)
    assert set(seen) == set(attempts)
    assert [cast("Fate", seen[one.attempt].fate).exit_code for one in launches] == [0, 1, 2, 3, 4]
    assert seen[unknown].standing is Standing.ABSENT
    assert executor.sightings([]) == {}


@local_or_callbacks
def test_what_is_removed_is_forgotten(rig: Rig, executor: Executor) -> None:
    launch = rig.launch("echo done")
    run(executor, launch)
    assert launch.attempt in executor.remains()
    assert launch.attempt in rig.executor().remains()
    executor.remove(launch.attempt)
    executor.remove(launch.attempt)
    assert launch.attempt not in executor.remains()
    assert look(executor, launch.attempt).standing is Standing.ABSENT
    with pytest.raises(NoSuchLog):
        stored(executor.log(launch.attempt))


def test_the_log_of_an_unknown_attempt_is_no_log(executor: Executor) -> None:
    with pytest.raises(NoSuchLog):
        stored(executor.log(unknown_attempt()), follow=True)


@containers
def test_a_job_gets_what_it_was_given_and_nothing_of_the_worker(
    rig: Rig, executor: Executor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CANARY", "of-the-worker")
    given = {"BARBEQUE_MESSAGE": '{"a": "ü"}', "EMPTY": "", "ODD": "a=b 'c' \"d\" $e\\"}
    launch = rig.launch("", command=("env",), environment=given)
    run(executor, launch)
    lines = output(rig.executor(), launch).decode().splitlines()
    found = dict(line.split("=", 1) for line in lines)
    assert {name: found.get(name) for name in given} == given
    files = {f"BARBEQUE_{noun}_FILE" for noun in ("PROGRESS", "RESULT")}
    posts = {f"BARBEQUE_{noun}_URL" for noun in ("MESSAGE", "PROGRESS", "RESULT")}
    its_own = {"PATH", "HOME", "LANG", "TZ", "HOSTNAME"}
    assert set(found) - set(given) <= its_own | files | posts


@containers
def test_a_command_is_given_its_words_as_they_are(rig: Rig, executor: Executor) -> None:
    words = ("one two", "", "$HOME", "*", "it's", 'quo"te', "new\nline", "ü")
    launch = rig.launch("", command=("printf", "<%s>\\n", *words))
    run(executor, launch)
    assert output(executor, launch).decode() == "".join(f"<{word}>\n" for word in words)


@local
@pytest.mark.parametrize("size", [2, 200_000])
def test_a_message_can_be_read_from_its_file(rig: Rig, executor: Executor, size: int) -> None:
    message = json.dumps({"text": "ü" * size, "line": "\n"}, ensure_ascii=False)
    launch = rig.launch('cat "${BARBEQUE_MESSAGE_URL#file://}"; echo', message_file=True)
    run(executor, launch, message)
    assert output(executor, launch).decode() == message + "\n"


@local
def test_progress_is_seen_while_it_runs_and_the_result_at_its_end(
    rig: Rig, executor: Executor
) -> None:
    script = (
        "P=$BARBEQUE_PROGRESS_FILE R=$BARBEQUE_RESULT_FILE; echo 1/4 begun > $P; echo {} > $R;"
        "trap 'echo 100% >> $P; echo [1, 2] > $R; exit 0' TERM; echo on; sleep 60 & wait"
    )
    launch = rig.launch(script, report_files=True)
    others = [rig.launch("sleep 60", report_files=True) for _ in range(2)]
    for each in (launch, *others):
        executor.start(each, "{}")
    wait_until(lambda: output(executor, launch) == b"on\n", "it has told something")
    begun = Report(Progress(25.0, "1/4 begun"))
    assert look(rig.executor(), launch.attempt).report == begun
    seen = executor.sightings([each.attempt for each in (launch, *others)])
    assert [each.report for each in seen.values()] == [begun, None, None]
    executor.stop(launch.attempt, kill=False)
    ended = wait_for(executor, launch.attempt, Standing.ENDED)
    assert ended.report == Report(Progress(100.0, ""), "[1,2]")
    assert look(rig.executor(), launch.attempt).report == ended.report
    for each in others:
        executor.stop(each.attempt, kill=True)


HOSTILE = {
    "links": "busybox rm $P $R; busybox ln -s /etc/hosts $P; busybox ln -s /etc/hosts $R",
    "a loop": "busybox rm $P $R; busybox ln -s $P $R; busybox ln -s $R $P",
    "folders": "busybox rm $P $R; mkdir $P $R; echo {} > $R/a",
    "pipes": "busybox rm $P $R; busybox mkfifo $P $R",
    "nothing": "busybox rm $P $R",
    "endless": "dd if=/dev/zero of=$P bs=1024 count=1 seek=9000000",
    "no text": "printf '\\377\\376' > $P; printf '{\\377}' > $R",
}


@local
def test_hostile_files_are_no_report_and_hinder_nothing(rig: Rig, executor: Executor) -> None:
    names = "P=$BARBEQUE_PROGRESS_FILE; R=$BARBEQUE_RESULT_FILE; touch $P $R; "
    launches = {
        kind: rig.launch(f"{names}{script}; exit 3", report_files=True)
        for kind, script in HOSTILE.items()
    }
    for launch in launches.values():
        executor.start(launch, "{}")
    for kind, launch in launches.items():
        ended = wait_for(executor, launch.attempt, Standing.ENDED)
        assert ended.fate is not None
        assert ended.fate.exit_code == 3, kind
        report = ended.report
        assert report is None or (report.progress is None and report.result is None), kind


@local
def test_a_result_may_have_64_kib(rig: Rig, executor: Executor) -> None:
    def told(size: int) -> Report:
        script = f"(printf '\"'; head -c {size - 2} /dev/zero | tr '\\0' x; printf '\"')"
        launch = rig.launch(f"{script} > $BARBEQUE_RESULT_FILE", report_files=True)
        return cast("Report", run(executor, launch).report)

    assert told(65_536).result == '"' + "x" * 65_534 + '"'
    for size in (65_537, 5_000_000):
        assert told(size) == Report(fault="the result has more than 65,536 bytes")


def test_another_worker_sees_reads_and_stops_what_the_first_started(
    rig: Rig, executor: Executor
) -> None:
    launch = start_obedient(rig, executor)
    other = rig.executor()
    assert look(other, launch.attempt).standing is Standing.RUNNING
    assert output(other, launch) == b"ready\n"
    other.stop(launch.attempt, kill=False)
    assert fate_of(other, launch).exit_code == 7
    assert look(executor, launch.attempt) == look(other, launch.attempt)


@containers
def test_what_the_main_process_left_behind_does_not_outlive_it(
    rig: Rig, executor: Executor
) -> None:
    launch = rig.launch("sleep 300 & echo started")
    asked = clock.monotonic()
    fate = cast("Fate", run(executor, launch).fate)
    assert fate.exit_code == 0
    assert clock.monotonic() - asked < 120
    assert output(executor, launch) == b"started\n"
