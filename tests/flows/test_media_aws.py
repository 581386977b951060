"""`make demo-aws`: what it makes in the account, and that it leaves nothing; pages about AWS."""

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from botocore import xform_name
from botocore.session import get_session

import account
import stage
from barbeque_py.ecs_url import _READERS
from barbeque_py.environment import inherited
from barbeque_py.settings import Settings
from tests.cloud.rig import CloudProcess
from tests.flows.pages import ROOT, blocks
from tests.flows.test_media_example import path, run_with_message, shelf
from tests.waiting import wait_until

__all__ = ["path", "shelf"]

PAGE = ROOT / "docs" / "ecs.md"
COVERED = {
    "ChangeMessageVisibilityBatch": "ChangeMessageVisibility",
    "CompleteMultipartUpload": "PutObject",
    "CreateMultipartUpload": "PutObject",
    "DeleteMessageBatch": "DeleteMessage",
    "DeleteObjects": "DeleteObject",
    "HeadObject": "GetObject",
    "ListObjectsV2": "ListBucket",
    "SendMessageBatch": "SendMessage",
    "UploadPart": "PutObject",
}
"""Operations that are allowed by the name of another one."""


def test_files_are_put_into_s3_by_a_form_without_keys_of_aws(
    calm_cloud: CloudProcess, shelf: tuple[Path, str], path: str
) -> None:
    s3, bucket = calm_cloud.client("s3"), "media-forms"
    s3.create_bucket(Bucket=bucket)
    form = s3.generate_presigned_post(
        bucket, "made/${filename}", Conditions=[["starts-with", "$key", "made/"]]
    )
    source = f"{shelf[1]}sample.mp4"
    run_with_message("thumbnail", path, source=source, target=form, every=3, width=64)
    made = s3.list_objects_v2(Bucket=bucket)["Contents"]
    assert [each["Key"] for each in made] == [f"made/thumbnail-000{n}.jpg" for n in (1, 2)]
    picture = s3.get_object(Bucket=bucket, Key=made[0]["Key"])["Body"].read()
    assert picture.startswith(b"\xff\xd8")
    assert picture.endswith(b"\xff\xd9")


@pytest.mark.usefixtures("aws_environment", "calm_cloud")
def test_check_finds_no_fault_with_what_the_operator_makes(tmp_path: Path) -> None:
    account.set_up()
    home = tmp_path / "home"
    home.mkdir()
    fleet = account.settings(f"sqlite:///{tmp_path}/barbeque.db", "http://127.0.0.1:3004")
    environment = {**inherited(), **fleet, "BARBEQUE_HOME": str(home)}
    for verb in ("migrate", "check"):
        ended = subprocess.run(
            [sys.executable, "-m", "barbeque_py.cli", verb],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr


def test_a_demo_that_fails_names_its_logs_and_shows_the_end_of_the_one_that_tells(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "worker-1.log"
    log.write_text("".join(f"line {n}\n" for n in range(50)))
    previous = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]

    def show(_stack: object) -> None:
        raise stage.DemoError("nothing works", log)

    try:
        assert stage.perform(show, tmp_path) == 1
    finally:
        for each, was in zip((signal.SIGINT, signal.SIGTERM), previous, strict=True):
            signal.signal(each, was)
    said = capsys.readouterr().out
    assert "The demo failed: nothing works" in said
    assert "line 30\n" in said
    assert "line 29\n" not in said
    assert str(log) in said.splitlines()[-1]


@pytest.mark.soak
def test_ctrl_c_ends_all_that_the_demo_started(tmp_path: Path) -> None:
    with demo(tmp_path) as (process, log):
        wait_until(lambda: "Spot takes" in said(process, log), "a task is interrupted", within=120)
        assert len(of_the_demo(tmp_path)) > 5
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130, log.read_text()
        wait_until(lambda: not of_the_demo(tmp_path), "all its processes are gone")
    assert "Stopped." in log.read_text()


def test_what_we_ask_of_aws_is_what_the_policies_allow() -> None:
    allowed = {
        action
        for block in blocks(PAGE)
        if block.language == "json" and "sqs:GetQueueUrl" in block.text
        for statement in json.loads(block.text)["Statement"]
        for action in statement["Action"]
    }
    also = {"ecs:TagResource", "iam:PassRole"}  # asked for by RegisterTaskDefinition and RunTask
    assert set(calls_in_the_source()) == allowed - also


def test_every_parameter_of_ecs_is_on_its_page() -> None:
    table = re.findall(r"^\| `(\w+)` \|", PAGE.read_text().partition("\n## ")[0], re.MULTILINE)
    assert set(table) == set(_READERS)


def test_settings_on_the_pages_of_aws_can_be_read() -> None:
    found = [
        dict(line.split("=", 1) for line in block.text.splitlines() if line)
        for page in (PAGE, ROOT / "docs" / "fleet.md", ROOT / "README.md")
        for block in blocks(page)
        if block.language == "env"
    ]
    assert found
    for variables in found:
        assert not Settings.from_environment(variables).warnings


def test_json_on_the_page_of_ecs_is_json() -> None:
    texts = [block.text for block in blocks(PAGE) if block.language == "json"]
    assert len(texts) > 5
    for text in texts:
        json.loads(text)


def calls_in_the_source() -> Iterator[str]:
    """Yield the action of every operation of AWS that the product names, `check` apart."""
    files = set((ROOT / "barbeque_py").rglob("*.py")) - set((ROOT / "barbeque_py/cli").glob("*"))
    texts = "".join(file.read_text() for file in files)
    named = set(re.findall(r"""[."](\w+_\w+)\b""", texts))
    models = get_session()
    for service in ("ecr", "ecs", "logs", "s3", "sqs"):
        for operation in models.get_service_model(service).operation_names:
            if xform_name(operation) in named:
                yield f"{service}:{COVERED.get(operation, operation)}"


@contextmanager
def demo(home: Path) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """Run the demo without an engine, its files in `home`."""
    log = home / "demo.log"
    own = {"BARBEQUE_HOME": str(home), "BARBEQUE_EXECUTOR": "process:"}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, ROOT / "deploy/examples/media/demo_aws.py"],
            env={**inherited(), **own},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        yield process, log
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait(60)


def said(process: subprocess.Popen[bytes], log: Path) -> str:
    text = log.read_text()
    assert process.poll() is None, text
    return text


def of_the_demo(home: Path) -> list[str]:
    """Return what still runs and has the demo's home among its words or variables."""
    listed = subprocess.run(
        ["ps", "-e", "e", "-ww", "-o", "args="], capture_output=True, check=True
    )
    return [
        line for line in listed.stdout.decode(errors="replace").splitlines() if str(home) in line
    ]
