"""The cloud's front: moto shines through, calls are counted, faults fall as told."""

import http.client
import os
import signal
import subprocess
import sys
import urllib.request
import uuid
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import IO, Any, cast

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError

from tests.cloud.calls import name_s3
from tests.cloud.rig import CloudProcess
from tests.waiting import wait_until

LARGE = 100_000_000
PART = 5 * 1024 * 1024
_ROOT = Path(__file__).parents[2]


@pytest.fixture
def bucket(calm_cloud: CloudProcess) -> str:
    name = f"bucket-{uuid.uuid4().hex[:12]}"
    calm_cloud.client("s3").create_bucket(Bucket=name)
    return name


def url_of(cloud: CloudProcess) -> str:
    url = cloud.client("sqs").create_queue(QueueName=f"front-{uuid.uuid4().hex[:12]}")["QueueUrl"]
    return str(url)


def test_an_object_of_a_hundred_megabytes_goes_there_and_back(
    calm_cloud: CloudProcess, bucket: str
) -> None:
    s3 = calm_cloud.client("s3")
    s3.put_object(Bucket=bucket, Key="large", Body=b"x" * LARGE)
    size = 0
    with closing(s3.get_object(Bucket=bucket, Key="large")["Body"]) as body:
        for piece in body.iter_chunks(1024 * 1024):
            assert piece.strip(b"x") == b""
            size += len(piece)
    assert size == LARGE
    s3.delete_object(Bucket=bucket, Key="large")


def test_a_body_of_unknown_length_passes(calm_cloud: CloudProcess, bucket: str) -> None:
    connection = http.client.HTTPConnection(calm_cloud.endpoint.removeprefix("http://"))
    try:
        pieces = iter([b"x" * 100_000] * 10)
        connection.request("PUT", f"/{bucket}/chunks", pieces, encode_chunked=True)
        assert connection.getresponse().status == 200
    finally:
        connection.close()
    head = calm_cloud.client("s3").head_object(Bucket=bucket, Key="chunks")
    assert head["ContentLength"] == 1_000_000


def test_a_stream_with_a_trailing_checksum_passes(calm_cloud: CloudProcess, bucket: str) -> None:
    s3 = calm_cloud.client("s3")
    body = b"log line\n" * 1000
    s3.put_object(Bucket=bucket, Key="sum", Body=body, ChecksumAlgorithm="SHA256")
    with closing(s3.get_object(Bucket=bucket, Key="sum")["Body"]) as found:
        assert found.read() == body


def test_parts_make_an_object_and_each_step_is_counted(
    calm_cloud: CloudProcess, bucket: str
) -> None:
    s3 = calm_cloud.client("s3")
    calm_cloud.reset_counts()
    place = {"Bucket": bucket, "Key": "parts"}
    upload = {**place, "UploadId": s3.create_multipart_upload(**place)["UploadId"]}
    parts = []
    for number, size in ((1, PART), (2, 10)):
        tag = s3.upload_part(**upload, PartNumber=number, Body=b"x" * size)["ETag"]
        parts.append({"PartNumber": number, "ETag": tag})
    s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
    assert s3.head_object(**place)["ContentLength"] == PART + 10
    s3.list_objects_v2(Bucket=bucket)
    s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "parts"}]})
    assert calm_cloud.counts()["s3"] == {
        "CreateMultipartUpload": 1,
        "UploadPart": 2,
        "CompleteMultipartUpload": 1,
        "HeadObject": 1,
        "ListObjectsV2": 1,
        "DeleteObjects": 1,
    }


@pytest.mark.parametrize(
    ("method", "url", "operation"),
    [
        ("GET", "/", "ListBuckets"),
        ("PUT", "/bucket", "CreateBucket"),
        ("GET", "/bucket?lifecycle", "GetBucketLifecycle"),
        ("GET", "/bucket?uploads", "ListMultipartUploads"),
        ("DELETE", "/bucket/a/key", "DeleteObject"),
        ("DELETE", "/bucket/key?uploadId=1", "AbortMultipartUpload"),
        ("GET", "/bucket/key?uploadId=1", "ListParts"),
        ("PUT", "/bucket/key?tagging", "PutObjectTagging"),
        ("GET", "/bucket/key?X-Amz-Credential=a", "GetObject"),
    ],
)
def test_operations_of_s3_are_told_by_method_and_place(
    method: str, url: str, operation: str
) -> None:
    assert name_s3(method, url) == operation


def test_a_presigned_url_needs_no_other_word(calm_cloud: CloudProcess, bucket: str) -> None:
    s3 = calm_cloud.client("s3")
    s3.put_object(Bucket=bucket, Key="open", Body=b"seen")
    url = s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "open"})
    with urllib.request.urlopen(url, timeout=10) as answer:
        assert answer.read() == b"seen"


def test_every_protocol_of_aws_passes_and_is_counted(calm_cloud: CloudProcess) -> None:
    calm_cloud.reset_counts()
    assert calm_cloud.client("sts").get_caller_identity()["Account"] == "123456789012"
    calm_cloud.client("logs").describe_log_groups()
    url_of(calm_cloud)
    counts = calm_cloud.counts()
    assert counts["sts"] == {"GetCallerIdentity": 1}
    assert counts["logs"] == {"DescribeLogGroups": 1}
    assert counts["sqs"] == {"CreateQueue": 1}


def refused(act: Callable[[], Any]) -> str:
    """The error's code, or the word for a connection that was closed."""
    try:
        act()
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    except ConnectionClosedError:
        return "closed"
    return ""


def test_a_refused_call_is_not_done(calm_cloud: CloudProcess, bucket: str) -> None:
    s3, sqs, url = calm_cloud.client("s3"), calm_cloud.client("sqs"), url_of(calm_cloud)
    calm_cloud.faults(s3={"refuse": 1.0, "only": ["PutObject"]}, sqs={"refuse": 1.0})
    kinds = {
        refused(lambda: sqs.send_message(QueueUrl=url, MessageBody="x")) for _ in range(30)
    } | {refused(lambda: s3.put_object(Bucket=bucket, Key="k", Body=b"x")) for _ in range(30)}
    assert kinds == {"closed", "ServiceUnavailable"}
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)
    calm_cloud.faults()
    assert "Messages" not in sqs.receive_message(QueueUrl=url)


def test_a_call_whose_answer_is_lost_is_done(calm_cloud: CloudProcess, bucket: str) -> None:
    s3, sqs, url = calm_cloud.client("s3"), calm_cloud.client("sqs"), url_of(calm_cloud)
    calm_cloud.faults(s3={"lose_answer": 1.0}, sqs={"lose_answer": 1.0})
    with pytest.raises(ConnectionClosedError):
        sqs.send_message(QueueUrl=url, MessageBody="done")
    with pytest.raises(ConnectionClosedError):
        s3.put_object(Bucket=bucket, Key="done", Body=b"x" * 3_000_000)
    calm_cloud.faults()
    assert sqs.receive_message(QueueUrl=url)["Messages"][0]["Body"] == "done"
    assert s3.head_object(Bucket=bucket, Key="done")["ContentLength"] == 3_000_000


def test_a_throttled_call_is_told_so_in_its_services_words(
    calm_cloud: CloudProcess, bucket: str
) -> None:
    calm_cloud.faults(**{each: {"throttle": 1.0} for each in ("s3", "sqs", "sns", "logs")})
    for code, act in {
        "SlowDown": lambda: calm_cloud.client("s3").put_object(Bucket=bucket, Key="k", Body=b"x"),
        "ThrottlingException": lambda: calm_cloud.client("logs").describe_log_groups(),
        "Throttling": lambda: calm_cloud.client("sns").list_topics(),
    }.items():
        assert refused(act) == code
    assert refused(lambda: calm_cloud.client("sqs").list_queues()) == "ThrottlingException"


def test_a_service_that_is_down_answers_nothing_and_the_others_do(
    calm_cloud: CloudProcess,
) -> None:
    calm_cloud.faults(logs={"down": True})
    assert refused(lambda: calm_cloud.client("logs").describe_log_groups()) == "closed"
    assert refused(lambda: calm_cloud.client("sqs").list_queues()) == ""


def test_a_fault_that_is_misspelt_is_refused(calm_cloud: CloudProcess) -> None:
    with pytest.raises(pytest.fail.Exception, match="refus"):
        calm_cloud.faults(sqs={"refuze": 1.0})


def test_a_receiver_that_has_gone_gets_nothing(calm_cloud: CloudProcess) -> None:
    sqs, url = calm_cloud.client("sqs"), url_of(calm_cloud)
    connection = http.client.HTTPConnection(calm_cloud.endpoint.removeprefix("http://"))
    wish = f'{{"QueueUrl": "{url}", "WaitTimeSeconds": 20}}'
    scope = "AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/sqs/aws4_request"
    target = {"X-Amz-Target": "AmazonSQS.ReceiveMessage", "Authorization": scope}
    calm_cloud.reset_counts()
    connection.request("POST", "/", wish, target)
    wait_until(lambda: calm_cloud.counts().get("sqs"), "the receiver waits")
    connection.close()
    sqs.send_message(QueueUrl=url, MessageBody="kept")
    assert sqs.receive_message(QueueUrl=url)["Messages"][0]["Body"] == "kept"


def test_the_clouds_environment_is_all_a_program_needs(aws_environment: dict[str, str]) -> None:
    told = {name: os.environ[name] for name in aws_environment}  # noqa: TID251 - what it is about
    assert told == aws_environment
    assert told["AWS_ENDPOINT_URL"].startswith("http://127.0.0.1:")


def test_the_cloud_ends_with_a_session_that_is_killed() -> None:
    words = (
        "import time; from tests.cloud.rig import CloudProcess; "
        "print(CloudProcess().pid, flush=True); time.sleep(600)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", words], cwd=_ROOT, stdout=subprocess.PIPE
    ) as session:
        cloud = int(cast("IO[bytes]", session.stdout).readline())
        assert is_running(cloud)
        session.kill()
    wait_until(lambda: not is_running(cloud), "the cloud has ended")


def is_running(pid: int) -> bool:
    """Tell whether the process runs; one that only waits to be buried does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_the_cloud_ends_at_sigterm() -> None:
    cloud = CloudProcess()
    os.kill(cloud.pid, signal.SIGTERM)
    wait_until(lambda: not is_running(cloud.pid), "the cloud has ended")
    assert cloud.wrote() == ""
    cloud.stop()
