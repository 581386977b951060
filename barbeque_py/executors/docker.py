"""Executor on a Docker engine: one container per attempt, found again by its name."""

import io
import json
import os
import re
import tarfile
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import cached_property
from threading import Event
from typing import Any
from urllib.parse import urlencode

from barbeque_py import clock
from barbeque_py.errors import LaunchRefused
from barbeque_py.executor import Blueprint, Launch, News, Preparation, Sighting, Standing, Traits
from barbeque_py.executors import docker_reports
from barbeque_py.executors.docker_events import Deaths
from barbeque_py.executors.docker_image import Images
from barbeque_py.executors.docker_log import DockerLog
from barbeque_py.executors.docker_state import refusal, see
from barbeque_py.executors.engine import Answer, Engine
from barbeque_py.ids import AttemptId
from barbeque_py.logs import LogSource
from barbeque_py.outcomes import Fate, Reason
from barbeque_py.reports import Report
from barbeque_py.tickets import JobUrls

_LOG = {"Type": "local", "Config": {"max-size": "4g", "max-file": "2", "compress": "false"}}
"""The engine's copy of a log is what sealing reads, so nothing of it may go early: nothing does
below 4 GiB. A log that never stops takes 8 GiB of disk at most and loses its oldest half; with a
single file it would lose all. The driver `local` keeps any bytes and reads on after a crash;
`json-file` writes U+FFFD for what is not UTF-8, takes twice the time, and fails for good to read a
log whose last record was cut by a full disk or a crash.
"""

_MIB = 1024 * 1024
_VCPU = 1024
_CREATED, _STARTED, _ALREADY, _NOT_FOUND, _CONFLICT = 201, 204, 304, 404, 409
_CLIENT_ERRORS = range(400, 500)
_FEW = 2
_CREATION = 5.0
"""Seconds for which the engine may keep a name taken before its container can be inspected."""

_NO_COMMAND = (126, 127)
_KILLED = 137
_INIT_FAILED = re.compile(rb"\[FATAL tini \(\d+\)\] exec (?P<command>.*) failed: (?P<cause>.*)")


class DockerExecutor:
    """Runs attempts on the Docker engine behind a unix socket; safe for threads.

    A container is created under a name that only its attempt has and started only if it never
    was, so a repeated start runs nothing twice. What it left stays in the engine until `remove`.
    """

    def __init__(
        self,
        *,
        installation: str,
        socket: str = "/var/run/docker.sock",
        slots: int | None = None,
        timeout: float = 30.0,
        urls: JobUrls | None = None,
    ) -> None:
        self._installation = installation
        self._prefix = f"barbeque-{installation}-"
        self._label = f"barbeque.installation={installation}"
        self._slots = slots or os.cpu_count() or 1
        self._engine = Engine(socket, timeout)
        self._images = Images(self._engine)
        self._urls = urls
        self.traits = Traits()

    def close(self) -> None:
        """Close the connections that nobody uses."""
        self._engine.close()

    def place(self) -> str:
        """Return `docker:` and the engine's id."""
        return f"docker:{self._facts['ID']}"

    def serves(self, place: str) -> bool:
        """Tell whether the place is this engine."""
        return place == self.place()

    def former(self, place: str) -> bool:  # noqa: ARG002 - an engine keeps its id for ever
        """Return False: an engine that was restarted is the same place."""
        return False

    def slots(self) -> int:
        """Return how many attempts may run at once: the CPU count, where nothing else is set."""
        return self._slots

    def prepare(self, blueprint: Blueprint) -> Preparation:
        """Find or pull the image and pin it, to its digest or else its id."""
        return Preparation(self._images.pin(blueprint.image), self.place())

    def start(self, launch: Launch, message: str) -> Sighting:
        """Create the attempt's container and start it, unless it was started before."""
        query = urlencode({"name": self._name(launch.attempt)})
        answer = self._engine.call(
            "POST", f"/containers/create?{query}", content=self._describe(launch)
        )
        if answer.status == _CREATED:
            return self._run(launch, message, answer.json()["Id"])
        if answer.status == _CONFLICT:
            return self._resume(launch, message)
        raise LaunchRefused(
            f"The Docker engine refused {launch.image} for {launch.app}/{launch.job}: "
            f"{answer.sentence()}",
            blame_definition=True,
        )

    def sightings(self, attempts: Sequence[AttemptId]) -> dict[AttemptId, Sighting]:
        """Inspect a few attempts one by one; of many, list all and inspect those not running."""
        if len(attempts) <= _FEW:
            return {attempt: self._look(attempt) for attempt in attempts}
        listed = dict(self._list())
        seen = {}
        for attempt in attempts:
            facts = listed.get(attempt)
            if facts is None:
                seen[attempt] = Sighting(Standing.ABSENT)
            elif facts["State"] == "running":
                report = self._report(facts["Labels"], facts["Id"], ended=False)
                seen[attempt] = Sighting(Standing.RUNNING, facts["Id"], report=report)
            else:
                seen[attempt] = self._look(attempt)
        return seen

    def stop(self, attempt: AttemptId, *, kill: bool) -> None:
        """Send SIGTERM, or SIGKILL."""
        signal = "SIGKILL" if kill else "SIGTERM"
        path = f"/containers/{self._name(attempt)}/kill?signal={signal}"
        self._expect(self._engine.call("POST", path), _STARTED, _NOT_FOUND, _CONFLICT)

    def events(self, stop: Event) -> Iterator[News]:
        """Yield attempts as their containers die, by the engine's event stream."""
        for name in Deaths(self._engine, self._label).names(stop):
            attempt = self._attempt(name or "")
            if attempt is not None:
                yield News({attempt: None})
            elif name is None:
                yield News()

    def log(self, attempt: AttemptId) -> LogSource:
        """Return the log as the engine keeps it."""
        return DockerLog(self._engine, self._name(attempt))

    def remove(self, attempt: AttemptId) -> None:
        """Remove the container with its volume; a running one stays."""
        path = f"/containers/{self._name(attempt)}?v=1&force=0"
        self._expect(self._engine.call("DELETE", path), _STARTED, _NOT_FOUND, _CONFLICT)

    def remains(self) -> list[AttemptId]:
        """Return the attempts that have a container, whatever its state."""
        return [attempt for attempt, _ in self._list()]

    @cached_property
    def _facts(self) -> dict[str, Any]:
        facts: dict[str, Any] = self._engine.call("GET", "/info").json()
        return facts

    def _name(self, attempt: AttemptId) -> str:
        return self._prefix + attempt

    def _attempt(self, name: str) -> AttemptId | None:
        name = name.removeprefix("/")
        return AttemptId(name.removeprefix(self._prefix)) if name.startswith(self._prefix) else None

    def _run(self, launch: Launch, message: str, handle: str) -> Sighting:
        """Start a container that was never started; put its files first."""
        if files := _files(launch, message):
            path = f"/containers/{handle}/archive?path={docker_reports.FOLDER}"
            self._expect(self._engine.call("PUT", path, content=files), 200)
        answer = self._engine.ask("POST", f"/containers/{handle}/start")
        if answer.status in (_STARTED, _ALREADY):
            return Sighting(Standing.RUNNING, handle)
        sighting = self._accept(self._look(launch.attempt))
        if sighting.standing in (Standing.RUNNING, Standing.ENDED):
            return sighting
        if answer.status in _CLIENT_ERRORS and sighting.standing is Standing.CREATED:
            raise LaunchRefused(
                f"The Docker engine refused to start {launch.app}/{launch.job}: "
                f"{answer.sentence()}",
                blame_definition=True,
            )
        raise self._engine.unavailable(f"a start answered {answer.status}: {answer.sentence()}")

    def _resume(self, launch: Launch, message: str) -> Sighting:
        """Go on where an earlier call for this attempt ended, in this worker or in another."""
        inspected = self._await(launch.attempt)
        if not self._is_ours(inspected):
            raise LaunchRefused(
                f"A container that is not ours has the name {self._name(launch.attempt)}: "
                "rename or remove it",
                blame_definition=False,
            )
        sighting = self._accept(self._judge(inspected))
        if sighting.standing is Standing.CREATED:
            return self._run(launch, message, sighting.handle)
        return sighting

    def _await(self, attempt: AttemptId) -> dict[str, Any]:
        """Inspect a container whose name is taken: another worker may be creating it just now."""
        deadline = clock.monotonic() + _CREATION
        while (inspected := self._inspect(attempt)) is None:
            if clock.monotonic() > deadline:
                raise self._engine.unavailable(f"{self._name(attempt)} is and is not there")
            Event().wait(0.05)
        return inspected

    def _accept(self, sighting: Sighting) -> Sighting:
        if sighting.fate is not None and sighting.fate.reason is Reason.NEVER_STARTED:
            raise refusal(sighting.fate)
        return sighting

    def _look(self, attempt: AttemptId) -> Sighting:
        inspected = self._inspect(attempt)
        if inspected is None or not self._is_ours(inspected):
            return Sighting(Standing.ABSENT)
        sighting = self._judge(inspected)
        if sighting.standing not in (Standing.RUNNING, Standing.ENDED):
            return sighting
        labels, ended = inspected["Config"]["Labels"], sighting.standing is Standing.ENDED
        return replace(sighting, report=self._report(labels, sighting.handle, ended=ended))

    def _report(self, labels: Mapping[str, str], container: str, *, ended: bool) -> Report | None:
        if docker_reports.LABEL not in labels:
            return None
        return docker_reports.read_report(self._engine, container, ended=ended)

    def _inspect(self, attempt: AttemptId) -> dict[str, Any] | None:
        answer = self._engine.call("GET", f"/containers/{self._name(attempt)}/json")
        self._expect(answer, 200, _NOT_FOUND)
        inspected: dict[str, Any] | None = answer.json() if answer.status != _NOT_FOUND else None
        return inspected

    def _is_ours(self, inspected: Mapping[str, Any]) -> bool:
        labels = inspected["Config"]["Labels"] or {}
        return bool(labels.get("barbeque.installation") == self._installation)

    def _judge(self, inspected: Mapping[str, Any]) -> Sighting:
        sighting = see(inspected, self._engine_start)
        fate = sighting.fate
        if fate is None or fate.reason is not Reason.EXITED or not fate.exit_code:
            return sighting
        return replace(sighting, fate=self._explain(fate, sighting.handle))

    def _engine_start(self) -> datetime | None:
        return self._engine.started_at()

    def _explain(self, fate: Fate, handle: str) -> Fate:
        """Find why a command failed where its exit code alone does not tell."""
        if fate.exit_code in _NO_COMMAND:
            return self._look_for_command(fate, handle)
        if self._ran_out_of_memory(fate, handle):
            detail = "something in it was killed for using more memory than its limit"
            return replace(fate, reason=Reason.OUT_OF_MEMORY, detail=detail)
        if fate.exit_code == _KILLED:
            return replace(fate, detail="killed (SIGKILL), perhaps for want of memory")
        return fate

    def _look_for_command(self, fate: Fate, handle: str) -> Fate:
        """Tell a command that is missing (the container's init says so) from one that said 127."""
        answer = self._engine.call("GET", f"/containers/{handle}/logs?stderr=1&tail=1")
        found = _INIT_FAILED.search(answer.body)
        if found is None:
            return fate
        command, cause = (words.decode(errors="replace") for words in found.groups())
        detail = f"the image can't run the command {command!r}: {cause}"
        return Fate(Reason.NEVER_STARTED, detail=detail, blame_definition=True)

    def _ran_out_of_memory(self, fate: Fate, handle: str) -> bool:
        """Ask the engine's memory of events: what it learns after the end misses the state."""
        assert fate.started_at is not None
        filters = {"type": ["container"], "container": [handle], "event": ["oom"]}
        query = {
            "since": int(fate.started_at.timestamp()),
            "until": f"{clock.now().timestamp():.6f}",
            "filters": json.dumps(filters),
        }
        return bool(self._engine.call("GET", f"/events?{urlencode(query)}").body)

    def _list(self) -> Iterator[tuple[AttemptId, dict[str, Any]]]:
        query = urlencode({"all": 1, "filters": json.dumps({"label": [self._label]})})
        answer = self._engine.call("GET", f"/containers/json?{query}")
        self._expect(answer, 200)
        for facts in answer.json():
            for attempt in filter(None, map(self._attempt, facts["Names"])):
                yield attempt, facts

    def _expect(self, answer: Answer, *statuses: int) -> None:
        if answer.status not in statuses:
            raise self._engine.unavailable(f"it answered {answer.status}: {answer.sentence()}")

    def _describe(self, launch: Launch) -> dict[str, Any]:
        """Write the container's description."""
        environment = dict(launch.environment)
        if launch.message_file:
            environment["BARBEQUE_MESSAGE_URL"] = f"file://{docker_reports.FOLDER}/message.json"
        if launch.report_files:
            environment |= docker_reports.VARIABLES
        if self._urls is not None:
            environment |= self._urls.reports(launch.attempt)
        has_files = launch.message_file or launch.report_files
        return {
            "Image": launch.image,
            "Cmd": list(launch.command),
            "Env": [f"{name}={value}" for name, value in environment.items()],
            "Labels": {
                "barbeque.installation": self._installation,
                "barbeque.message_id": launch.message_id,
                "barbeque.attempt": str(launch.number),
                "barbeque.app": launch.app,
                "barbeque.job": launch.job,
                **({docker_reports.LABEL: "1"} if launch.report_files else {}),
            },
            "Volumes": {docker_reports.FOLDER: {}} if has_files else {},
            "HostConfig": self._confine(launch),
        }

    def _confine(self, launch: Launch) -> dict[str, Any]:
        """Write what the container may use.

        The engine refuses more CPUs than it has, and less than a hundredth of one.
        """
        memory = launch.memory * _MIB
        return {
            "Memory": memory,
            "MemorySwap": memory,
            "NanoCpus": int(max(0.01, min(launch.cpu / _VCPU, self._facts["NCPU"])) * 10**9),
            "PidsLimit": launch.pids,
            "Init": True,
            "SecurityOpt": ["no-new-privileges"],
            "CapDrop": ["ALL"],
            "CapAdd": list(launch.capabilities),
            "NetworkMode": launch.network,
            "LogConfig": _LOG,
            "RestartPolicy": {"Name": "no"},
        }


def _files(launch: Launch, message: str) -> bytes:
    """Return a tar of the files that the launch gives, empty bytes where there are none.

    The message is readable by whatever user the image runs as, the job's own files are writable.
    """
    given = {"message.json": message.encode()} if launch.message_file else {}
    own = docker_reports.EMPTY if launch.report_files else {}
    return _pack({**given, **own}, writable=own) if given or own else b""


def _pack(files: Mapping[str, bytes], *, writable: Container[str]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o666 if name in writable else 0o444
            tar.addfile(entry, io.BytesIO(content))
    return packed.getvalue()
