"""What only S3 has: requests that cost, parts, pages, buckets that are not there, a network."""

import secrets
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import pytest

from barbeque_py.errors import LogStoreUnavailable, NoSuchLog
from barbeque_py.logstores.s3 import PART_BYTES, S3LogStore
from tests.cloud.rig import CloudProcess

BUCKET = "barbeque-logs"


@pytest.fixture
def client(calm_cloud: CloudProcess, aws_environment: dict[str, str]) -> Any:
    client = calm_cloud.client("s3")
    client.create_bucket(Bucket=BUCKET)
    return client


@pytest.fixture
def store(client: Any) -> Iterator[S3LogStore]:
    store = S3LogStore(BUCKET, f"/logs/{secrets.token_hex(4)}/")
    yield store
    store.close()


@pytest.fixture
def calls(store: S3LogStore) -> list[str]:
    """The operations the store asks for, in order."""
    found: list[str] = []
    store._client.meta.events.register(
        "before-call.s3", lambda model, **rest: found.append(model.name)
    )
    return found


def test_a_small_object_is_one_request(store: S3LogStore, calls: list[str]) -> None:
    assert store.put("a/b", [b"x" * (PART_BYTES - 1)]) == PART_BYTES - 1
    assert calls == ["PutObject"]
    assert len(store.read("a/b")) == PART_BYTES - 1


@pytest.mark.parametrize(("size", "parts"), [(PART_BYTES, 1), (2 * PART_BYTES + 1, 3)])
def test_a_large_object_goes_up_in_parts(
    store: S3LogStore, calls: list[str], size: int, parts: int
) -> None:
    content = secrets.token_bytes(size)
    cuts = range(0, size, 3_000_000)
    assert store.put("a/b", (content[cut : cut + 3_000_000] for cut in cuts)) == size
    assert calls == [
        "CreateMultipartUpload",
        *["UploadPart"] * parts,
        "CompleteMultipartUpload",
    ]
    assert store.read("a/b") == content
    assert store.read("a/b", PART_BYTES - 3, 6) == content[PART_BYTES - 3 : PART_BYTES + 3]


def test_a_large_object_that_fails_half_way_leaves_no_parts(
    store: S3LogStore, client: Any, calls: list[str]
) -> None:
    def broken() -> Iterator[bytes]:
        yield b"x" * (PART_BYTES + 1)
        raise ZeroDivisionError

    store.put("a/b", [b"old"])
    with pytest.raises(ZeroDivisionError):
        store.put("a/b", broken())
    assert calls[1:] == ["CreateMultipartUpload", "UploadPart", "AbortMultipartUpload"]
    assert store.read("a/b") == b"old"
    assert "Uploads" not in client.list_multipart_uploads(Bucket=BUCKET, Prefix=store._prefix)


def test_parts_are_held_two_at_a_time(store: S3LogStore) -> None:
    ahead: list[int] = []
    given, sent = 0, 0

    def chunks() -> Iterator[bytes]:
        nonlocal given
        for _ in range(48):
            given += 1
            ahead.append(given - 8 * sent)
            yield bytes(1024 * 1024)

    def count(model: Any, **rest: Any) -> None:
        nonlocal sent
        sent += model.name == "UploadPart"

    store._client.meta.events.register("before-call.s3", count)
    store.put("a/b", chunks())
    assert (sent, max(ahead)) == (6, 8)


@pytest.mark.soak
def test_more_than_a_page_is_listed_and_removed_in_thousands(
    store: S3LogStore, client: Any, calls: list[str]
) -> None:
    keys = [f"a/{number:04}" for number in range(1005)]
    for key in keys:
        client.put_object(Bucket=BUCKET, Key=store._prefix + key)
    assert store.names("a/") == keys
    store.remove(iter(keys))
    assert store.names("") == []
    assert calls == ["ListObjectsV2"] * 2 + ["DeleteObjects"] * 2 + ["ListObjectsV2"]


def test_stores_of_other_prefixes_do_not_see_each_other(store: S3LogStore, client: Any) -> None:
    store.put("a", [b"x"])
    whole, other = S3LogStore(BUCKET), S3LogStore(BUCKET, store._prefix.rstrip("/") + "2")
    assert store._prefix + "a" in whole.names("")
    assert other.names("") == []
    whole.close()
    other.close()


def test_removing_nothing_asks_nothing(store: S3LogStore, calls: list[str]) -> None:
    store.remove([])
    assert calls == []


def test_a_bucket_that_is_not_there_is_told_with_setting_and_cure(client: Any) -> None:
    store = S3LogStore("not-here", "logs")
    told = r"in s3://not-here/logs/ \(BARBEQUE_LOGS\) failed: .*; create the bucket"
    for call in (
        lambda: store.put("a", [b"x"]),
        lambda: store.put("a", [bytes(PART_BYTES)]),
        lambda: store.read("a"),
        lambda: store.names(""),
        lambda: store.remove(["a"]),
    ):
        with pytest.raises(LogStoreUnavailable, match=told):
            call()
    store.close()


def test_calls_that_are_refused_or_whose_answers_are_lost_are_made_again(
    store: S3LogStore, calm_cloud: CloudProcess
) -> None:
    calm_cloud.faults(s3={"refuse": 0.15, "lose_answer": 0.15})
    kept: dict[str, bytes] = {}
    for number in range(24):
        key, content = f"a/{number % 6}", b"%d" % number
        try:
            store.put(key, [content])
            kept[key] = content
            assert store.read(key) == content
            assert key in store.names("a/")
            if number % 4 == 0:
                store.remove([key])
                del kept[key]
        except LogStoreUnavailable:
            kept.pop(key, None)
    calm_cloud.faults()
    assert {key: store.read(key) for key in kept} == kept
    assert len(kept) >= 2


def test_a_large_object_whose_last_answer_is_lost_is_stored(
    store: S3LogStore, calm_cloud: CloudProcess
) -> None:
    calm_cloud.faults(s3={"lose_answer": 1.0, "only": ["CompleteMultipartUpload"]})
    assert store.put("a/b", [bytes(PART_BYTES + 1)]) == PART_BYTES + 1
    assert len(store.read("a/b")) == PART_BYTES + 1


def test_a_large_object_that_can_not_be_completed_is_told_and_taken_back(
    store: S3LogStore, calm_cloud: CloudProcess, client: Any
) -> None:
    store.put("a/b", [b"old"])
    calm_cloud.faults(s3={"refuse": 1.0, "only": ["CompleteMultipartUpload"]})
    with pytest.raises(LogStoreUnavailable, match="completing"):
        store.put("a/b", [bytes(PART_BYTES + 1)])
    assert store.read("a/b") == b"old"
    assert "Uploads" not in client.list_multipart_uploads(Bucket=BUCKET, Prefix=store._prefix)


def test_s3_that_is_away_is_told_and_keeps_what_it_had(
    store: S3LogStore, calm_cloud: CloudProcess
) -> None:
    store.put("a/b", [b"old"])
    calm_cloud.faults(s3={"down": True})
    for call in (
        lambda: store.put("a/b", [b"new"]),
        lambda: store.read("a/b"),
        lambda: store.names(""),
        lambda: store.remove(["a/b"]),
    ):
        with pytest.raises(LogStoreUnavailable, match=r"s3://barbeque-logs/.*BARBEQUE_LOGS"):
            call()
    calm_cloud.faults()
    assert store.read("a/b") == b"old"
    with pytest.raises(NoSuchLog):
        store.read("a/c")


def test_a_body_that_breaks_off_is_read_again(
    aws_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Faltering(BaseHTTPRequestHandler):
        asked = 0

        def do_GET(self) -> None:
            Faltering.asked += 1
            self.send_response(200)
            self.send_header("Content-Length", "10")
            self.end_headers()
            self.wfile.write(b"0123456789"[: 10 if Faltering.asked % 3 == 0 else 5])

        def log_message(self, *words: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Faltering) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
        store = S3LogStore(BUCKET, "logs")
        assert store.read("a/b") == b"0123456789"
        assert Faltering.asked == 3
        store.close()
        server.shutdown()
        thread.join()
