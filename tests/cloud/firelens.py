"""FireLens: the log driver awsfirelens and the Fluent Bit behind it, in name only.

No Fluent Bit runs: a container with `firelensConfiguration` counts as running and ends with the
task. What the application container's own options say is emulated for these outputs; a
configuration file of the router's (`config-file-value`) is not read.

`Name: s3`: bucket, region, s3_key_format ($TAG, $TAG[n], $UUID, $INDEX, strftime in UTC),
s3_key_format_tag_delimiters, total_file_size, upload_timeout, use_put_object and static_file_path
(which say whether a key gets a random end), log_key, compression gzip.
`Name: cloudwatch_logs` or `cloudwatch`: log_group_name, log_stream_name or log_stream_prefix,
auto_create_group, region, log_key. Other outputs take the lines and drop them.

The tag is `<container>-firelens-<task id>`; a record is one line as JSON with `source`, `log` and
ECS's names, or the bare line with `log_key: log`.
"""

import gzip
import json
import re
import uuid
from contextlib import suppress
from datetime import datetime
from typing import Final

from barbeque_py import clock
from tests.cloud.awslogs import LogStream
from tests.cloud.moto_calls import Moto
from tests.cloud.runners import ERR
from tests.cloud.service import AwsFault, Json
from tests.cloud.tasks import Task

_KEY: Final = "/fluent-bit-logs/$TAG/%Y/%m/%d/%H/%M/%S"
_UNITS: Final = {"K": 1024, "M": 1024**2, "G": 1024**3}
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600}


def read_options(options: Json) -> dict[str, str]:
    """Return Fluent Bit's options with small names: it does not care for their case."""
    return {name.lower(): str(value) for name, value in options.items()}


class Records:
    """Cuts what a container writes into lines, and makes Fluent Bit's records of them."""

    split = True

    def __init__(self, task: Task, container: str, options: dict[str, str]) -> None:
        self.tag = f"{container}-firelens-{task.id}"
        self._bare = options.get("log_key") == "log"
        self._facts = {
            "container_id": f"{task.id}-{container}",
            "container_name": container,
            "ecs_cluster": task.cluster_arn.rpartition("/")[2],
            "ecs_task_arn": task.arn,
            "ecs_task_definition": task.definition_arn.rpartition("/")[2],
        }
        self._open: dict[int, bytes] = {}

    def take(self, stream: int, piece: bytes) -> list[bytes]:
        """Return the records of the lines that are whole by this piece."""
        *lines, self._open[stream] = (self._open.get(stream, b"") + piece).split(b"\n")
        return [self._record(stream, line) for line in lines if line]

    def rest(self) -> list[bytes]:
        """Return the records of what ended without a newline."""
        left, self._open = self._open, {}
        return [self._record(stream, line) for stream, line in left.items() if line]

    def _record(self, stream: int, line: bytes) -> bytes:
        if self._bare:
            return line
        source = "stderr" if stream == ERR else "stdout"
        text = line.decode(errors="replace")
        record = {"date": clock.rfc3339(clock.now()), "source": source, "log": text}
        return json.dumps(record | self._facts).encode()


class ToS3:
    """Fluent Bit's output s3: objects of `total_file_size`, or of `upload_timeout`."""

    split = True

    def __init__(self, moto: Moto, task: Task, container: str, options: dict[str, str]) -> None:
        self._moto = moto
        self._options = options
        self._region = options.get("region", task.region)
        self._records = Records(task, container, options)
        self._size = _amount(options.get("total_file_size", "100M"), _UNITS)
        self._timeout = _amount(options.get("upload_timeout", "10m"), _SECONDS)
        self._begun = clock.now()
        self._gathered: list[bytes] = []
        self._bytes = 0
        self._index = 0

    def write(self, stream: int, piece: bytes) -> None:
        self._gather(self._records.take(stream, piece))

    def rest(self) -> None:
        if (clock.now() - self._begun).total_seconds() >= self._timeout:
            self._upload()

    def close(self) -> None:
        self._gather(self._records.rest())
        self._upload()

    def _gather(self, records: list[bytes]) -> None:
        if records and not self._gathered:
            self._begun = clock.now()
        for record in records:
            self._gathered.append(record)
            self._bytes += len(record) + 1
            if self._bytes >= self._size:
                self._upload()
        self.rest()

    def _upload(self) -> None:
        if not self._gathered:
            return
        body = b"\n".join([*self._gathered, b""])
        if self._options.get("compression") == "gzip":
            body = gzip.compress(body, 1)
        with suppress(OSError, AwsFault):  # Fluent Bit retries a while and drops
            self._moto.put_object(self._options["bucket"], self._key(), body, region=self._region)
        self._gathered, self._bytes = [], 0
        self._index += 1

    def _key(self) -> str:
        wanted = self._options.get("s3_key_format", _KEY)
        put = self._options.get("use_put_object", "").lower() in ("on", "true")
        static = self._options.get("static_file_path", "").lower() in ("on", "true")
        delimiters = self._options.get("s3_key_format_tag_delimiters", ".")
        key = write_key(
            wanted,
            tag=self._records.tag,
            delimiters=delimiters,
            index=self._index,
            instant=self._begun,
        )
        if put and "$UUID" not in wanted and not static:
            key += f"-object{uuid.uuid4().hex[:8]}"
        return key


def write_key(wanted: str, *, tag: str, delimiters: str, index: int, instant: datetime) -> str:
    """Return the object's key that Fluent Bit makes of `s3_key_format`."""
    parts = re.split(f"[{re.escape(delimiters)}]", tag)

    def part(found: re.Match[str]) -> str:
        place = int(found[1])
        return parts[place] if place < len(parts) else ""

    key = re.sub(r"\$TAG\[(\d)\]", part, wanted)
    key = key.replace("$TAG", tag).replace("$INDEX", str(index))
    key = key.replace("$UUID", uuid.uuid4().hex[:8])
    return instant.strftime(key).lstrip("/")


class ToCloudWatch:
    """Fluent Bit's output cloudwatch_logs: awslogs's stream with records in place of lines."""

    split = True

    def __init__(self, records: Records, stream: LogStream) -> None:
        self._records = records
        self._stream = stream

    def write(self, stream: int, piece: bytes) -> None:
        self._pass_on(self._records.take(stream, piece))

    def rest(self) -> None:
        self._stream.rest()

    def close(self) -> None:
        self._pass_on(self._records.rest())
        self._stream.close()

    def _pass_on(self, records: list[bytes]) -> None:
        if records:
            self._stream.write(0, b"\n".join([*records, b""]))


class Nowhere:
    """An output that is not emulated."""

    split = True

    def write(self, stream: int, piece: bytes) -> None: ...

    def rest(self) -> None: ...

    def close(self) -> None: ...


def _amount(text: str, units: dict[str, int]) -> float:
    unit = units.get(text[-1:]) or units.get(text[-1:].upper())
    return float(text[:-1]) * unit if unit else float(text)
