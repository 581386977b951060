"""What `barbeque check` looks at in S3: whether logs can be kept there, and for how long."""

import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from typing import Any

from barbeque_py.cli.aws_asking import Refused, Trial, denied, look, open_asker
from barbeque_py.cli.finding import FAULT, NOTE, OK, WARNING, Finding
from barbeque_py.durations import format_duration
from barbeque_py.errors import BarbequeError
from barbeque_py.logstore import LogStore
from barbeque_py.settings import Settings

_PROBE = "barbeque-check"


def look_at_bucket(settings: Settings, store: LogStore) -> Iterator[Finding]:
    """Write, read, list and remove an object, each of which needs a permission of its own."""
    key = f"{_PROBE}/{uuid.uuid4().hex}"
    steps: list[tuple[str, Callable[[], object]]] = [
        ("written", lambda: store.put(key, [b"probe"])),
        ("read", lambda: store.read(key)),
        ("listed", lambda: store.names(f"{_PROBE}/")),
        ("removed", lambda: store.remove([key])),
    ]
    faults = 0
    for number, (_, step) in enumerate(steps):
        try:
            step()
        except BarbequeError as error:
            faults += 1
            yield Finding(FAULT, "logs", str(error))
            if number == 0:
                break  # nothing is there to be read
    if not faults:
        done = ", ".join(word for word, _ in steps)
        yield Finding(OK, "logs", f"s3://{settings.logs.bucket}: an object was {done}")
        yield from _of_bucket(settings)


def _of_bucket(settings: Settings) -> Iterator[Finding]:
    place = settings.logs
    with closing(open_asker("s3", place.region or settings.aws_region)) as client:
        large = {"Bucket": place.bucket, "Key": f"{place.prefix}/{_PROBE}".lstrip("/")}
        trial = Trial("", client.abort_multipart_upload, large | {"UploadId": _PROBE})
        if denied([trial]):
            yield Finding(
                WARNING,
                "logs",
                "the role may not do s3:AbortMultipartUpload on the bucket's objects: allow it, or "
                "what is left of a large log that failed stays, and is paid for",
            )
        yield from _lifecycle(client, place.bucket, place.prefix, settings.retention)


def _lifecycle(client: Any, bucket: str, prefix: str, retention: timedelta) -> Iterator[Finding]:
    """Compare the bucket's rules with how long we promise to keep logs."""
    try:
        answer = look(client.get_bucket_lifecycle_configuration, Bucket=bucket)
    except Refused:
        answer = {"Rules": []}  # there are none
    if answer is None:
        yield Finding(
            NOTE,
            "logs",
            "the bucket's lifecycle was not looked at: that needs s3:GetLifecycleConfiguration",
        )
        return
    rules = [each for each in answer["Rules"] if each["Status"] == "Enabled"]
    ours = [each for each in rules if _concerns(each, prefix)]
    days = [each["Expiration"]["Days"] for each in ours if "Days" in each.get("Expiration", {})]
    if days and timedelta(days=min(days)) < retention:
        yield Finding(
            WARNING,
            "logs",
            f"S3 removes logs after {min(days)} days (lifecycle of {bucket}), but "
            f"BARBEQUE_RETENTION is {format_duration(retention)}: make the rule at least as long, "
            "or the retention shorter",
        )
    if not any("AbortIncompleteMultipartUpload" in each for each in ours):
        yield Finding(
            NOTE,
            "logs",
            "no lifecycle rule ends uploads that a killed worker has left, which are paid for: "
            "give the bucket AbortIncompleteMultipartUpload with one day",
        )


def _concerns(rule: dict[str, Any], prefix: str) -> bool:
    """Tell whether the rule is for our objects, or for some of them."""
    said = rule.get("Filter", {})
    theirs = rule.get("Prefix") or said.get("Prefix") or said.get("And", {}).get("Prefix") or ""
    folder = f"{prefix}/" if prefix else ""
    return bool(theirs.startswith(folder) or folder.startswith(theirs))
