"""The log store of a fleet: a folder of an S3 bucket, one object per key."""

import base64
import hashlib
import re
import secrets
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from itertools import chain, islice
from typing import Any

from barbeque_py import aws
from barbeque_py.errors import LogStoreUnavailable, NoSuchLog

PART_BYTES = 8 * 1024 * 1024
"""From this size on an object goes up in parts of this size, of which S3 takes 10,000."""

_PART = re.compile(r"(?!\.{1,2}\Z)[A-Za-z0-9._~%-]+")
_BATCH = 1_000
"""Keys in one DeleteObjects."""
_READS = 3
_CONNECTIONS = 50
_NEEDED = (
    "allow s3:ListBucket on the bucket, and s3:GetObject, s3:PutObject, s3:DeleteObject and "
    "s3:AbortMultipartUpload on its objects; without s3:ListBucket S3 refuses what is not there"
)
_CURES = {
    "AccessDenied": _NEEDED,
    "AllAccessDisabled": _NEEDED,
    "AuthorizationHeaderMalformed": "write the bucket's Region into BARBEQUE_LOGS",
    "IllegalLocationConstraintException": "write the bucket's Region into BARBEQUE_LOGS",
    "NoSuchBucket": "create the bucket, or correct its name in BARBEQUE_LOGS",
    "PermanentRedirect": "write the bucket's Region into BARBEQUE_LOGS",
}


class S3LogStore:
    """Keeps each object under `prefix` in the bucket; works with any server that speaks S3.

    A writer that is killed can leave the parts of an object that nobody sees and somebody pays:
    give the bucket the lifecycle rule AbortIncompleteMultipartUpload with one day.
    """

    def __init__(self, bucket: str, prefix: str = "", *, region: str | None = None) -> None:
        self._bucket = bucket
        self._prefix = prefix.strip("/") + "/" if prefix.strip("/") else ""
        self._client = aws.open_client("s3", region=region, connections=_CONNECTIONS)

    def put(self, key: str, chunks: Iterable[bytes]) -> int:
        """Write the chunks, in one request below 8 MiB, else holding two parts in memory."""
        place = self._place(key)
        parts = _parts(chunks)
        first = next(parts, b"")
        if len(first) == PART_BYTES:
            return self._put_parts(place, chain([first], parts))
        with self._explained(f"storing {key}"):
            self._client.put_object(**place, Body=first, ContentMD5=_md5(first))
        return len(first)

    def read(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        """Return that range of the object; raises `NoSuchLog`."""
        asked = self._place(key)
        if start or length is not None:
            # No range is empty: for nothing of an object its next byte is asked for.
            last = "" if length is None else start + max(length, 1) - 1
            asked["Range"] = f"bytes={start}-{last}"
        with self._explained(f"reading {key}"):
            try:
                return self._get(asked)[:length]
            except aws.FAILURES as error:
                if aws.code_of(error) == "InvalidRange":
                    return b""
                if aws.code_of(error) == "NoSuchKey":
                    raise NoSuchLog(f"no log object {key}") from error
                raise

    def names(self, prefix: str) -> list[str]:
        """Return the keys that begin with the prefix, page by page of 1,000."""
        pages = self._client.get_paginator("list_objects_v2")
        with self._explained(f"listing {prefix or 'all'}"):
            return [
                each["Key"].removeprefix(self._prefix)
                for page in pages.paginate(Bucket=self._bucket, Prefix=self._prefix + prefix)
                for each in page.get("Contents", ())
            ]

    def remove(self, keys: Iterable[str]) -> None:
        """Delete the objects, up to 1,000 in one request."""
        places = ({"Key": self._place(key)["Key"]} for key in keys)
        while batch := list(islice(places, _BATCH)):
            with self._explained("removing logs"):
                answer = self._client.delete_objects(
                    Bucket=self._bucket, Delete={"Objects": batch, "Quiet": True}
                )
            for fault in answer.get("Errors", ()):
                code = fault.get("Code", "")
                cure = _CURES.get(code, fault.get("Message", ""))
                raise LogStoreUnavailable(f"S3 would not remove {fault['Key']}: {code}: {cure}")

    def close(self) -> None:
        """Close the connections to S3."""
        self._client.close()

    def _place(self, key: str) -> dict[str, Any]:
        if not all(_PART.fullmatch(part) for part in key.split("/")):
            raise ValueError(f"{key!r} is not a key: parts are percent-encoded and joined by /")
        return {"Bucket": self._bucket, "Key": self._prefix + key}

    def _get(self, asked: dict[str, Any]) -> bytes:
        """Read the object; a body that breaks off is not repeated by the client, but here."""
        for left in reversed(range(_READS)):
            body = self._client.get_object(**asked)["Body"]
            try:
                with closing(body):
                    return bytes(body.read())
            except aws.FAILURES:
                if not left:
                    raise
        raise AssertionError("the last read returns or raises")

    def _put_parts(self, place: dict[str, Any], parts: Iterator[bytes]) -> int:
        mark = secrets.token_hex(16)
        with self._explained(f"storing {place['Key']}"):
            begun = self._client.create_multipart_upload(**place, Metadata={"barbeque-put": mark})
        upload = {**place, "UploadId": begun["UploadId"]}
        try:
            stored, size = self._upload(upload, parts)
            self._complete(upload, stored, mark)
        except BaseException:
            with suppress(*aws.FAILURES):
                self._client.abort_multipart_upload(**upload)
            raise
        return size

    def _upload(self, upload: dict[str, Any], parts: Iterator[bytes]) -> tuple[list[Any], int]:
        stored, size = [], 0
        for number, part in enumerate(parts, 1):
            with self._explained(f"storing part {number} of {upload['Key']}"):
                answer = self._client.upload_part(
                    **upload, PartNumber=number, Body=part, ContentMD5=_md5(part)
                )
            stored.append({"PartNumber": number, "ETag": answer["ETag"]})
            size += len(part)
        return stored, size

    def _complete(self, upload: dict[str, Any], stored: list[Any], mark: str) -> None:
        """Make the object of its parts; an answer that was lost is looked up by our mark."""
        place = {"Bucket": upload["Bucket"], "Key": upload["Key"]}
        with self._explained(f"completing {upload['Key']}"):
            try:
                self._client.complete_multipart_upload(**upload, MultipartUpload={"Parts": stored})
            except aws.FAILURES:
                if not self._is_marked(place, mark):
                    raise

    def _is_marked(self, place: dict[str, Any], mark: str) -> bool:
        try:
            return bool(self._client.head_object(**place)["Metadata"].get("barbeque-put") == mark)
        except aws.FAILURES:
            return False

    @contextmanager
    def _explained(self, doing: str) -> Iterator[None]:
        """Turn what the client raises into `LogStoreUnavailable` that names setting and cure."""
        doing = f"{doing} in s3://{self._bucket}/{self._prefix} (BARBEQUE_LOGS)"
        with aws.calling(doing, LogStoreUnavailable):
            try:
                yield
            except aws.FAILURES as error:
                if cure := _CURES.get(aws.code_of(error)):
                    words = f"{doing} failed: {aws.message_of(error)}; {cure}"
                    raise LogStoreUnavailable(words) from error
                raise


def _parts(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Cut the chunks anew, in parts of 8 MiB and a shorter last one."""
    waiting = bytearray()
    for chunk in chunks:
        view = memoryview(chunk)
        while view:
            room = PART_BYTES - len(waiting)
            waiting += view[:room]
            view = view[room:]
            if len(waiting) == PART_BYTES:
                yield bytes(waiting)
                waiting.clear()
    if waiting:
        yield bytes(waiting)


def _md5(body: bytes) -> str:
    """Return the checksum that every S3 server knows, and that a bucket with locks asks for."""
    return base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
