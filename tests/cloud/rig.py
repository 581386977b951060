"""Fixtures: the cloud as a process of the session, and the environment that points at it."""

import json
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import boto3
import pytest
from botocore.config import Config

REGION = "us-east-1"
_ROOT = Path(__file__).parents[2]
_ENDS = 20
_OTHERS = (
    "AWS_ENDPOINT_URL_ECS",
    "AWS_ENDPOINT_URL_LOGS",
    "AWS_ENDPOINT_URL_S3",
    "AWS_ENDPOINT_URL_SNS",
    "AWS_ENDPOINT_URL_SQS",
    "AWS_PROFILE",
    "AWS_SESSION_TOKEN",
)


class CloudProcess:
    """`python -m tests.cloud` as another process; it ends with us even when we are killed."""

    def __init__(self, *, seed: int = 0) -> None:
        self._wrote: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `stop`
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.cloud", "--seed", str(seed)],
            cwd=_ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._wrote,
        )
        self._clients: dict[str, Any] = {}
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            wrote = self.wrote()
            self.stop()
            pytest.fail(f"the cloud does not start:\n{wrote}")
        self.endpoint = str(json.loads(line)["endpoint"])
        self._calm_knobs = self.control("ecs", "configure")

    @property
    def environment(self) -> dict[str, str]:
        """What a program needs in its environment to take this for AWS."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    def wrote(self) -> str:
        """Return what it wrote to stderr so far."""
        self._wrote.seek(0)
        return self._wrote.read().decode(errors="replace")

    def client(self, service: str) -> Any:
        """Return a plain boto3 client, which tries every call once only."""
        if service not in self._clients:
            self._clients[service] = boto3.session.Session().client(
                service,
                endpoint_url=self.endpoint,
                region_name=REGION,
                aws_access_key_id="test",
                aws_secret_access_key="test",
                config=Config(retries={"total_max_attempts": 1}, read_timeout=60),
            )
        return self._clients[service]

    def faults(self, **by_service: Any) -> None:
        """Set the front's faults by service, in place of all there were: none without words."""
        self._post("faults", by_service)

    def counts(self) -> dict[str, dict[str, int]]:
        """Return how often each operation was called since the last reset."""
        return dict(self._post("counts", {}))

    def reset_counts(self) -> None:
        """Count from nothing."""
        self._post("counts/reset", {})

    def control(self, service: str, verb: str, **wish: Any) -> Any:
        """Have a service carry out a wish of the test."""
        return self._post(f"{service}/{verb}", wish)

    def calm(self) -> None:
        """End every fault and turn every knob back."""
        self.faults()
        self.control("sqs", "faults")
        self.control("ecs", "configure", **self._calm_knobs)

    def stop(self) -> None:
        """End the process and every client of it."""
        for client in self._clients.values():
            client.close()
        self._clients.clear()
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(_ENDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        self._wrote.close()

    def _post(self, path: str, wish: dict[str, Any]) -> Any:
        request = urllib.request.Request(
            f"{self.endpoint}/_cloud/{path}", json.dumps(wish).encode(), method="POST"
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                pytest.fail(f"the cloud refused /_cloud/{path}: {error.read().decode()}")


@pytest.fixture(scope="session")
def cloud() -> Iterator[CloudProcess]:
    """All of AWS, for the whole session; what tests make in it needs names of their own."""
    process = CloudProcess()
    try:
        yield process
        wrote = process.wrote()
    finally:
        process.stop()
    assert "Traceback" not in wrote, f"the cloud stumbled:\n{wrote}"


@pytest.fixture
def calm_cloud(cloud: CloudProcess) -> Iterator[CloudProcess]:
    """Hand out the cloud without faults before and after the test."""
    cloud.calm()
    yield cloud
    cloud.calm()


@pytest.fixture
def aws_environment(
    cloud: CloudProcess, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> dict[str, str]:
    """Point this very process at the cloud, and away from the machine's own credentials."""
    for name in _OTHERS:
        monkeypatch.delenv(name, raising=False)
    absent = str(tmp_path / "absent")
    environment = {
        **cloud.environment,
        "AWS_CONFIG_FILE": absent,
        "AWS_SHARED_CREDENTIALS_FILE": absent,
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return environment
