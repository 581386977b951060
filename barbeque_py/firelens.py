"""FireLens: a Fluent Bit beside the job that puts its log into our bucket; that log as a source.

All tasks of a definition share one configuration: Fluent Bit's tag, `app-firelens-TASK ID`, tells
them apart, in keys of S3 (`firelens/INSTALLATION/TAG/NUMBER-RANDOM`) and in CloudWatch's streams
(`PREFIX/TAG`). An object is JSON lines in the order in which they were written; each says its
stream. What is not full goes up when the task ends, so CloudWatch serves whoever watches, and
whenever S3 has nothing. The task role needs s3:PutObject on that folder, logs:CreateLogStream and
logs:PutLogEvents.

This saves calls of CloudWatch and tells the streams apart, but promises less than awslogs: ECS has
Docker hand lines over without waiting (`fluentd-async`), so the end of what a job writes in a burst
before it exits can be lost, in S3 and in CloudWatch alike, and empty lines never arrive. CloudWatch
orders by milliseconds: where both streams write at once, lines have other numbers while they are
watched than in the sealed log.

An attempt's row says where its log is as `firelens:REGION:GROUP:PREFIX/TAG`, see `cloudwatch`.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from barbeque_py import cloudwatch
from barbeque_py.cloudwatch import CloudWatch, cut_lines
from barbeque_py.ecs_settings import CONTAINER, LOG_ROUTER
from barbeque_py.logs import LogSource
from barbeque_py.logstore import LogStore

SCHEME = "firelens"
IMAGE = "public.ecr.aws/aws-observability/aws-for-fluent-bit:stable"
MEMORY = 64
"""MiB that are kept for Fluent Bit."""

_CONFIGURATION = "/tmp/barbeque.conf"  # noqa: S108 - in the sidecar, where nobody else is
_VARIABLE = "BARBEQUE_FLUENT_BIT"
_START = f"printf '%s' \"${_VARIABLE}\" > {_CONFIGURATION} && exec /bin/sh /entrypoint.sh"
"""What the image runs by itself, after the configuration is where FireLens includes it."""
_STOP_TIMEOUT = 120
"""Seconds until ECS kills it: the longest there is, as its last upload comes after SIGTERM."""
_GRACE = 30
_OBJECT = "8M"
"""Fluent Bit holds a whole object in memory while it puts it."""

_NUMBER = re.compile(r"(\d+)-[^/]*\Z")
_RANGE = 1024 * 1024
_NAMES = {"stdout": b"out", "stderr": b"err"}


@dataclass(frozen=True, slots=True)
class Route:
    """Where the logs of a definition's tasks go; `folder` is a prefix in the bucket."""

    region: str
    bucket: str
    folder: str
    group: str
    stream_prefix: str


def folder_of(prefix: str, installation: str) -> str:
    """Return the folder of an installation's logs below a log store's prefix, with its slash."""
    return f"{prefix.strip('/')}/{SCHEME}/{installation}/".removeprefix("/")


def tag_of(task: str) -> str:
    """Return Fluent Bit's tag for what the job writes in the task of this id or ARN."""
    return f"{CONTAINER}-firelens-{task.rpartition('/')[2]}"


def log_configuration(options: dict[str, str] | None = None) -> dict[str, Any]:
    """Return the `logConfiguration` of the job's container.

    With options FireLens makes one more output of them, which has to have a `Name`.
    """
    said = {"options": dict(options)} if options else {}
    return {"logDriver": "awsfirelens", **said}


def router_container(
    route: Route, *, image: str = IMAGE, memory_reservation: int = MEMORY
) -> dict[str, Any]:
    """Return the container definition of the Fluent Bit that stands beside the job.

    Fargate takes no configuration from S3, and AWS's image has only its own: the definition
    carries ours in a variable, and a shell writes it down. Any image made from AWS's will do.
    """
    return {
        "name": LOG_ROUTER,
        "image": image,
        "essential": True,
        "user": "0",
        "memoryReservation": memory_reservation,
        "stopTimeout": _STOP_TIMEOUT,
        "entryPoint": ["/bin/sh", "-c"],
        "command": [_START],
        "environment": [{"name": _VARIABLE, "value": fluent_bit_configuration(route)}],
        "firelensConfiguration": {
            "type": "fluentbit",
            "options": {
                "enable-ecs-log-metadata": "false",
                "config-file-type": "file",
                "config-file-value": _CONFIGURATION,
            },
        },
        "logConfiguration": {
            "logDriver": "awslogs",
            "options": {
                "awslogs-group": route.group,
                "awslogs-region": route.region,
                "awslogs-stream-prefix": route.stream_prefix,
                "mode": "non-blocking",
            },
        },
    }


def fluent_bit_configuration(route: Route) -> str:
    """Return what Fluent Bit does with the records that FireLens's own input hands it."""
    match = f"{CONTAINER}-firelens-*"
    sections: list[tuple[str, dict[str, str | int]]] = [
        ("SERVICE", {"Flush": 1, "Grace": _GRACE, "Log_Level": "warn"}),
        ("FILTER", {"Name": "record_modifier", "Match": match, "Remove_key": "container_id"}),
        ("FILTER", {"Name": "record_modifier", "Match": match, "Remove_key": "container_name"}),
        (
            "OUTPUT",
            {
                "Name": "s3",
                "Match": match,
                "bucket": route.bucket,
                "region": route.region,
                "use_put_object": "On",
                "total_file_size": _OBJECT,
                "upload_timeout": "24h",
                "preserve_data_ordering": "On",
                "json_date_key": "date",
                "json_date_format": "iso8601",
                "s3_key_format": f"/{route.folder}$TAG/$INDEX-$UUID",
            },
        ),
        (
            "OUTPUT",
            {
                "Name": "cloudwatch_logs",
                "Match": match,
                "region": route.region,
                "log_group_name": route.group,
                "log_stream_prefix": f"{route.stream_prefix}/",
                "log_key": "log",
                "retry_limit": 5,
            },
        ),
    ]
    return "\n".join(
        f"[{name}]\n" + "".join(f"    {key} {value}\n" for key, value in said.items())
        for name, said in sections
    )


class FirelensLog:
    """The log of one task, which Fluent Bit put under `folder`; goes on where it was.

    `fallback` is the same log in CloudWatch. Without `trusted` it serves alone: a Fluent Bit that
    was killed has not put the log's end into S3. Beside `ExecutorUnavailable` reading may raise
    `LogStoreUnavailable`.
    """

    def __init__(
        self, store: LogStore, folder: str, *, fallback: LogSource, trusted: bool = True
    ) -> None:
        self._store = store
        self._folder = folder
        self._fallback = fallback
        self._in_s3 = trusted
        self._taken: list[str] = []
        self._at = b"1970-01-01T00:00:00.000000Z"

    def batches(self, *, follow: bool) -> Iterator[list[bytes]]:
        """Yield the stored lines behind those that were yielded before, as `LogSource` promises.

        What is followed, and what S3 has nothing of, comes from CloudWatch, without its streams.
        """
        fresh = self._fresh() if self._in_s3 and not follow else []
        if not fresh and not self._taken:
            for batch in self._fallback.batches(follow=follow):
                self._in_s3 = self._in_s3 and not batch
                yield batch
        for key in fresh:
            for texts in self._texts(key):
                yield [line for text in texts for line in self._lines(text)]
            self._taken.append(key)

    def discard(self) -> None:
        """Remove the objects that were read, once the log is sealed."""
        self._store.remove(self._taken)

    def _fresh(self) -> list[str]:
        """Return the keys that were not read, in the order in which they were put."""
        keys = [key for key in self._store.names(self._folder) if key not in self._taken]
        return sorted(keys, key=_order)

    def _texts(self, key: str) -> Iterator[list[bytes]]:
        """Yield an object's lines, a MiB at a time."""
        start, rest = 0, b""
        while data := self._store.read(key, start, _RANGE):
            start += len(data)
            *texts, rest = (rest + data).split(b"\n")
            yield texts
        if rest:
            yield [rest]

    def _lines(self, text: bytes) -> Iterator[bytes]:
        """Yield a record as stored lines; what is no record is a line as it stands."""
        try:
            record = json.loads(text.decode(errors="replace"))
            at, log = record["date"].encode(), record["log"].encode(errors="replace")
        except (ValueError, TypeError, KeyError, AttributeError):
            return cut_lines(self._at, b"-", text)
        self._at = at
        # Docker cuts lines at 16 KiB; the pieces but the last are without a newline.
        more = record.get("partial_message") == "true" and record.get("partial_last") != "true"
        return cut_lines(at, _NAMES.get(record.get("source"), b"-"), log, more=more)


class Firelens:
    """Opens logs by the text in their attempts' rows; `store` is the one whose bucket they use."""

    def __init__(self, store: LogStore, installation: str, opened: CloudWatch) -> None:
        self._store = store
        self._folder = folder_of("", installation)
        self._cloudwatch = opened

    def open_log(self, log_at: str, *, trusted: bool = True) -> FirelensLog:
        """Return the log at that place; raises `ValueError` when it is not one of FireLens."""
        scheme, _, place = log_at.partition(":")
        if scheme != SCHEME:
            raise ValueError(f"{log_at!r} is not {SCHEME}:REGION:GROUP:STREAM")
        return FirelensLog(
            self._store,
            f"{self._folder}{log_at.rpartition('/')[2]}/",
            fallback=self._cloudwatch.open_log(f"{cloudwatch.SCHEME}:{place}"),
            trusted=trusted,
        )


def _order(key: str) -> tuple[bool, int, str]:
    found = _NUMBER.search(key)
    return (found is None, int(found[1]) if found else 0, key)
