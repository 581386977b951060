"""What process mode promises beyond every executor's contract, mostly about kills."""

import contextlib
import fcntl
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from barbeque_py import clock
from barbeque_py.errors import ExecutorUnavailable, LaunchRefused
from barbeque_py.executor import Launch, Standing
from barbeque_py.executors import supervisor
from barbeque_py.executors.folder import Folder
from barbeque_py.executors.process import ProcessExecutor
from barbeque_py.ids import AttemptId
from barbeque_py.outcomes import Reason
from tests.contracts.process_rig import ProcessRig
from tests.contracts.rigs import fate_of, look, output, run, stored
from tests.waiting import wait_until

PATIENT = "echo ran; while [ ! -e go ]; do sleep 0.02; done; echo done"
"""Runs until there is a file `go` in its working directory."""

WORKER = """
import resource, sys, time
from pathlib import Path
from barbeque_py.executor import Launch
from barbeque_py.executors.process import ProcessExecutor
home, launch, largest = sys.argv[1:]
resource.setrlimit(resource.RLIMIT_FSIZE, (int(largest), resource.RLIM_INFINITY))
executor = ProcessExecutor(home=Path(home), installation="abc123")
executor.start(Launch.from_json(launch), "{}")
print("started", flush=True)
time.sleep(60)
"""


@pytest.fixture
def rig() -> Iterator[ProcessRig]:
    rig = ProcessRig()
    yield rig
    rig.close()


@pytest.fixture
def executor(rig: ProcessRig) -> ProcessExecutor:
    return rig.executor()


def facts(rig: ProcessRig, attempt: AttemptId, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((rig.attempts / attempt / name).read_text())
    return found


def start_patient(rig: ProcessRig, executor: ProcessExecutor) -> Launch:
    launch = rig.launch(PATIENT)
    executor.start(launch, "{}")
    wait_until(lambda: output(executor, launch), "the job runs")
    return launch


def let_go(rig: ProcessRig, launch: Launch) -> None:
    (rig.attempts / launch.attempt / "work" / "go").touch()


def kill_supervisor(rig: ProcessRig, launch: Launch) -> None:
    pid = facts(rig, launch.attempt, "started")["pid"]
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not supervisor.start_time(pid), "the supervisor is gone")


def supervisors(rig: ProcessRig) -> list[int]:
    """Return the processes that serve an attempt of this rig."""

    def words(process: Path) -> bytes:
        try:
            return (process / "cmdline").read_bytes()
        except OSError:
            return b""

    home = str(rig.home).encode()
    processes = Path("/proc").glob("[0-9]*")
    found = ((process, words(process)) for process in processes)
    return [int(process.name) for process, said in found if home in said and b"supervisor" in said]


def kill_all(pids: list[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def start_by_a_doomed_worker(rig: ProcessRig, launch: Launch, largest: int = -1) -> None:
    """Start the attempt from a process that is killed with its whole group right after."""
    command = [sys.executable, "-c", WORKER, str(rig.home), launch.to_json(), str(largest)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) as worker:
        assert worker.stdout
        assert worker.stdout.readline() == b"started\n"
        os.killpg(worker.pid, signal.SIGKILL)


def test_a_job_outlives_the_worker_that_started_it(
    rig: ProcessRig, executor: ProcessExecutor
) -> None:
    launch = rig.launch(PATIENT)
    start_by_a_doomed_worker(rig, launch)
    assert look(executor, launch.attempt).standing is Standing.RUNNING
    let_go(rig, launch)
    assert fate_of(executor, launch).exit_code == 0
    assert output(executor, launch) == b"ran\ndone\n"


def test_a_supervisor_killed_before_the_mark_leaves_a_start_to_be_repeated(
    rig: ProcessRig, executor: ProcessExecutor
) -> None:
    launch = rig.launch("echo ran")
    folder = Folder(rig.attempts / launch.attempt)
    folder.make(executor._complete(launch), "{}")
    with (folder.path / "lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        supervise(folder)
        wait_until(lambda: supervisors(rig), "the supervisor waits")
        kill_all(supervisors(rig))
        wait_until(lambda: not supervisors(rig), "the supervisor is gone")
    assert look(executor, launch.attempt).standing is Standing.CREATED
    assert run(executor, launch).standing is Standing.ENDED
    assert output(executor, launch) == b"ran\n"


def supervise(folder: Folder) -> None:
    """Start a supervisor as a worker does, but don't wait for what it tells."""
    script = [sys.executable, "-I", "-S", supervisor.__file__]
    report, told = os.pipe()
    subprocess.run([*script, str(folder.path), str(told)], pass_fds=[told], check=True, env={})
    os.close(report)
    os.close(told)


def test_a_supervisor_killed_at_any_moment_never_makes_it_run_twice(
    rig: ProcessRig, executor: ProcessExecutor
) -> None:
    chance = random.Random(7)
    for _ in range(20):
        count = rig.home / "count"
        count.write_text("")
        launch = rig.launch(f"echo ran >> {count}")
        starting = threading.Thread(target=start_in_vain, args=(executor, launch))
        starting.start()
        time.sleep(chance.uniform(0.0, 0.06))  # the random moment, not a wait for anything
        kill_all(supervisors(rig))
        starting.join()
        for _ in range(3):
            executor.start(launch, "{}")
        fate = fate_of(executor, launch)
        runs = count.read_text().count("ran")
        assert runs == 1 or (runs == 0 and fate.exit_code != 0)


def start_in_vain(executor: ProcessExecutor, launch: Launch) -> None:
    with contextlib.suppress(ExecutorUnavailable):
        executor.start(launch, "{}")


def test_an_orphan_runs_on_then_vanishes_and_never_runs_again(
    rig: ProcessRig, executor: ProcessExecutor
) -> None:
    launch = start_patient(rig, executor)
    kill_supervisor(rig, launch)
    assert look(executor, launch.attempt).standing is Standing.RUNNING
    assert executor.start(launch, "{}").standing is Standing.RUNNING
    let_go(rig, launch)
    assert fate_of(executor, launch).reason is Reason.VANISHED
    executor.start(launch, "{}")
    assert fate_of(executor, launch).reason is Reason.VANISHED
    assert stored(executor.log(launch.attempt), follow=True)
    assert output(executor, launch) == b"ran\n"
    executor.remove(launch.attempt)
    assert executor.remains() == []


@pytest.mark.parametrize("kill", [False, True])
def test_an_orphan_can_be_stopped(rig: ProcessRig, executor: ProcessExecutor, kill: bool) -> None:
    launch = start_patient(rig, executor)
    kill_supervisor(rig, launch)
    executor.stop(launch.attempt, kill=kill)
    assert fate_of(executor, launch).reason is Reason.VANISHED


def test_the_supervisor_ends_a_job_at_its_deadline(
    rig: ProcessRig, executor: ProcessExecutor
) -> None:
    obedient = rig.launch("trap 'exit 7' TERM; sleep 60 & wait", timeout=2)
    stubborn = rig.launch("trap '' TERM; while :; do sleep 0.1; done", timeout=2, grace=0.3)
    executor.start(obedient, "{}")
    executor.start(stubborn, "{}")
    fates = [fate_of(executor, launch) for launch in (obedient, stubborn)]
    assert [(fate.reason, fate.exit_code) for fate in fates] == [
        (Reason.TIMED_OUT, 7),
        (Reason.TIMED_OUT, 137),
    ]


def test_a_stop_kills_by_itself_after_the_grace_period(
    rig: ProcessRig, executor: ProcessExecutor
) -> None:
    launch = rig.launch("trap '' TERM; echo ready; while :; do sleep 0.1; done", grace=0.3)
    executor.start(launch, "{}")
    wait_until(lambda: output(executor, launch), "the job is ready")
    executor.stop(launch.attempt, kill=False)
    fate = fate_of(executor, launch)
    assert (fate.reason, fate.exit_code) == (Reason.EXITED, 137)


def test_what_nobody_here_asked_to_end_was_interrupted(
    rig: ProcessRig, executor: ProcessExecutor
) -> None:
    launch = start_patient(rig, executor)
    os.kill(facts(rig, launch.attempt, "started")["pid"], signal.SIGTERM)
    fate = fate_of(executor, launch)
    assert (fate.reason, fate.exit_code) == (Reason.INTERRUPTED, 143)


def test_a_daemon_that_holds_the_pipe_does_not_hold_the_end(
    rig: ProcessRig, executor: ProcessExecutor
) -> None:
    launch = rig.launch("setsid sleep 60 & echo $!")
    asked = clock.monotonic()
    assert run(executor, launch).standing is Standing.ENDED
    assert clock.monotonic() - asked < 50
    os.kill(int(output(executor, launch)), signal.SIGKILL)


def test_a_full_disk_costs_lines_and_says_so_but_never_the_job(
    rig: ProcessRig, executor: ProcessExecutor
) -> None:
    launch = rig.launch("i=0; while [ $i -lt 20000 ]; do echo line-$i; i=$((i+1)); done; exit 3")
    start_by_a_doomed_worker(rig, launch, largest=100_000)
    fate = fate_of(executor, launch)
    assert (fate.reason, fate.exit_code) == (Reason.EXITED, 3)
    assert "lost: File too large" in fate.detail
    lines = output(executor, launch).splitlines()
    kept = [int(line[5:]) for line in lines if line.startswith(b"line-")]
    assert len(kept) > 100
    assert kept == sorted(kept)


def test_a_command_is_found_on_the_launchs_path_first(
    rig: ProcessRig, executor: ProcessExecutor, tmp_path: Path
) -> None:
    make_program(tmp_path / "env", "#!/bin/sh\necho mine; echo $PATH\n")
    run(executor, launch := rig.launch("", command=("env",), path=(str(tmp_path),)))
    mine, path = output(executor, launch).decode().splitlines()
    assert mine == "mine"
    assert path.startswith(f"{tmp_path}:/")


def make_program(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o700)


@pytest.mark.parametrize(
    ("text", "executable"), [("#!/bin/sh\n", False), ("#!/no/such/shell\n", True), ("?", True)]
)
def test_what_can_not_be_executed_is_the_definitions_fault(
    rig: ProcessRig, executor: ProcessExecutor, tmp_path: Path, text: str, executable: bool
) -> None:
    make_program(tmp_path / "program", text)
    (tmp_path / "program").chmod(0o600 | 0o100 * executable)
    launch = rig.launch("", command=("program",), path=(str(tmp_path),))
    for _ in range(2):
        with pytest.raises(LaunchRefused, match="program: ") as refused:
            executor.start(launch, "{}")
        assert refused.value.blame_definition
    assert fate_of(executor, launch).reason is Reason.NEVER_STARTED


def test_an_environment_too_large_for_a_process_is_the_definitions_fault(
    rig: ProcessRig, executor: ProcessExecutor
) -> None:
    launch = rig.launch("true", environment={"BARBEQUE_MESSAGE": "x" * 200_000})
    with pytest.raises(LaunchRefused, match="too long") as refused:
        executor.start(launch, "{}")
    assert refused.value.blame_definition


def test_a_worker_has_no_child_to_wait_for(rig: ProcessRig, executor: ProcessExecutor) -> None:
    before = _children()  # a server of the session, perhaps
    start_patient(rig, executor)
    assert _children() == before


def _children() -> set[str]:
    tasks = Path("/proc/self/task").iterdir()
    return {child for task in tasks for child in (task / "children").read_text().split()}


def test_a_job_inherits_no_files_and_no_signal_dispositions(
    rig: ProcessRig, executor: ProcessExecutor
) -> None:
    launch = rig.launch("", command=("sh", "-c", "ls /proc/$$/fd; grep SigIgn /proc/$$/status"))
    run(executor, launch)
    *files, ignored = output(executor, launch).split()
    assert files == [b"0", b"1", b"2", b"SigIgn:"]
    assert int(ignored, 16) & ~_OF_THE_C_LIBRARY == 0


_OF_THE_C_LIBRARY = 0b11 << 31
"""Signals 32 and 33, which no program can set."""


def test_a_supervisor_stays_small_whatever_the_job_writes(
    rig: ProcessRig, executor: ProcessExecutor
) -> None:
    launch = rig.launch("head -c 50000000 /dev/zero; " + PATIENT)
    executor.start(launch, "{}")
    log = rig.attempts / launch.attempt / "log"
    wait_until(lambda: log.stat().st_size > 50_000_000, "all is written")
    status = Path(f"/proc/{facts(rig, launch.attempt, 'started')['pid']}/status").read_text()
    peak = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    assert int(peak.split()[1]) < 32 * 1024


def test_a_running_attempt_is_not_removed(rig: ProcessRig, executor: ProcessExecutor) -> None:
    launch = start_patient(rig, executor)
    executor.remove(launch.attempt)
    assert look(executor, launch.attempt).standing is Standing.RUNNING


def test_what_a_job_made_unwritable_is_deleted_all_the_same(
    rig: ProcessRig, executor: ProcessExecutor
) -> None:
    launch = rig.launch("mkdir -p a/b; touch a/b/c; chmod 000 a/b/c a/b a")
    run(executor, launch)
    executor.remove(launch.attempt)
    assert [path.name for path in rig.attempts.iterdir()] == [".watch"]


def test_a_place_names_host_boot_and_namespace(rig: ProcessRig, executor: ProcessExecutor) -> None:
    place = executor.place()
    kind, host, *here = place.split(":")
    assert (kind, here) == ("process", [supervisor.boot(), supervisor.namespace()])
    assert rig.executor().place() == place
    assert executor.former(f"process:{host}:another boot:{here[1]}")
    assert not executor.former(place)
    assert not executor.former(f"process:another host:{here[0]}:{here[1]}")


@pytest.mark.parametrize("name", ["boot", "namespace"])
def test_what_was_cut_off_by_a_restart_was_interrupted(
    rig: ProcessRig, executor: ProcessExecutor, name: str
) -> None:
    launch = start_patient(rig, executor)
    ended = rig.launch("exit 3")
    before = run(executor, ended)
    kill_supervisor(rig, launch)
    for attempt in (launch.attempt, ended.attempt):
        mark = facts(rig, attempt, "started") | {name: "another"}
        (rig.attempts / attempt / "started").write_text(json.dumps(mark))
    assert fate_of(executor, launch).reason is Reason.INTERRUPTED
    assert executor.start(launch, "{}").standing is Standing.ENDED
    assert look(executor, ended.attempt) == before
    os.killpg(facts(rig, launch.attempt, "child")["pid"], signal.SIGKILL)


def test_what_runs_in_another_container_of_the_same_home_is_left_to_it(
    rig: ProcessRig, executor: ProcessExecutor
) -> None:
    launch = start_patient(rig, executor)
    started = rig.attempts / launch.attempt / "started"
    mark = started.read_text()
    started.write_text(mark.replace(supervisor.namespace(), "another"))
    assert look(executor, launch.attempt).standing is Standing.RUNNING
    started.write_text(mark)


def test_events_reach_a_home_with_a_very_long_name(rig: ProcessRig) -> None:
    home = rig.home / ("a" * 100) / ("b" * 100)
    executor = ProcessExecutor(home=home, installation="abc123")
    events = executor.events(stop := threading.Event())
    next(events)
    launch = rig.launch("true")
    executor.start(launch, "{}")
    assert wait_until(lambda: launch.attempt in next(events).sightings, "the end is told")
    stop.set()
    assert list(events) == []


def test_ears_of_dead_workers_are_swept_away(rig: ProcessRig, executor: ProcessExecutor) -> None:
    stale = rig.attempts / ".watch" / "stale.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as dead:
        dead.bind(str(stale))
    executor.start(rig.launch("true"), "{}")
    wait_until(lambda: not stale.exists(), "the stale socket is gone")


def test_a_lost_ear_is_opened_anew(rig: ProcessRig, executor: ProcessExecutor) -> None:
    events = executor.events(stop := threading.Event())
    next(events)
    for ear in (rig.attempts / ".watch").iterdir():
        ear.unlink()
    next(events)
    launch = rig.launch("true")
    executor.start(launch, "{}")
    assert wait_until(lambda: launch.attempt in next(events).sightings, "the end is told")
    stop.set()
    assert list(events) == []
