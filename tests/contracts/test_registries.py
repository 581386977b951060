"""Registries of images are asked what a tag means: by the HTTP API they all have, and ECR."""

import threading
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, HTTPServer

import boto3
import pytest
from moto.server import ThreadedMotoServer

from barbeque_py.errors import UnknownImage
from barbeque_py.registries.asking import Registries
from barbeque_py.release import Sources
from tests.contracts.registry import Registry, digest_of

ECR = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"


@pytest.fixture(scope="module")
def registry() -> Iterator[Registry]:
    with closing(Registry()) as registry:
        yield registry


@pytest.fixture
def registries() -> Iterator[Registries]:
    with closing(Registries()) as registries:
        yield registries


def test_a_tags_digest_is_what_the_registry_has_under_it_now(
    registry: Registry, registries: Registries
) -> None:
    first = digest_of(registry.push("moving", "v1", b"one"))
    assert registries.digest_of(f"{registry.address}/moving:v1") == first
    second = digest_of(registry.push("moving", "v1", b"two"))
    assert first != second
    assert registries.digest_of(f"{registry.address}/moving:v1") == second
    assert registries.digest_of(f"{registry.address}/moving@{first}") == first
    assert registries.digest_of(f"{registry.address}/there") == digest_of(registry.manifest)


def test_a_registry_that_wants_a_token_gives_one_to_everybody(
    registry: Registry, registries: Registries
) -> None:
    pushed = digest_of(registry.push("guarded/there", "v1"))
    assert registries.digest_of(f"{registry.address}/guarded/there:v1") == pushed
    assert registries.digest_of(f"{registry.address}/guarded/elsewhere:v1") is None


def test_a_registry_that_tells_no_digest_sends_what_it_is_the_digest_of(
    registry: Registry, registries: Registries
) -> None:
    pushed = digest_of(registry.push("mute/there"))
    assert registries.digest_of(f"{registry.address}/mute/there") == pushed


def test_an_image_that_a_registry_surely_lacks_is_unknown(
    registry: Registry, registries: Registries
) -> None:
    with pytest.raises(UnknownImage, match=f"{registry.address}/there:v2"):
        registries.digest_of(f"{registry.address}/there:v2")


@pytest.mark.parametrize("path", ["secret/there", "members/there"])
def test_a_registry_that_lets_only_others_in_tells_nothing(
    registry: Registry, registries: Registries, path: str
) -> None:
    assert registries.digest_of(f"{registry.address}/{path}") is None


def test_a_registry_that_is_away_tells_nothing(registries: Registries) -> None:
    with closing(Registry()) as gone:
        pass
    assert registries.digest_of(f"{gone.address}/there") is None


def test_a_registry_may_not_send_us_to_plain_http_elsewhere(registries: Registries) -> None:
    class Answers(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_response(401)
            realm = "http://192.0.2.1/latest/meta-data"
            self.send_header("WWW-Authenticate", f'Bearer realm="{realm}",service="x"')
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name
            pass

    with HTTPServer(("127.0.0.1", 0), Answers) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            assert registries.digest_of(f"127.0.0.1:{server.server_port}/there") is None
        finally:
            server.shutdown()
            thread.join()


def test_a_name_without_a_registry_is_left_to_the_workers(registries: Registries) -> None:
    assert registries.digest_of("media:latest") is None


def test_the_default_registry_is_asked_for_names_that_have_none(
    registry: Registry, registries: Registries
) -> None:
    sources = Sources(registries, registry.address)
    pinned = f"{registry.address}/there@{digest_of(registry.manifest)}"
    assert sources.pin("there:latest") == pinned
    assert sources.pin(pinned) == pinned
    assert Sources(registries).pin("there:latest") is None
    assert Sources().pin(f"{registry.address}/there") is None


@pytest.fixture(scope="module")
def ecr() -> Iterator[str]:
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


def test_ecr_is_asked_for_the_digest_of_a_tag(
    ecr: str, registries: Registries, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_ENDPOINT_URL_ECR": ecr,
    }.items():
        monkeypatch.setenv(name, value)
    client = boto3.client("ecr", region_name="eu-west-1")
    client.create_repository(repositoryName="team/media")
    manifest = '{"schemaVersion": 2, "mediaType": "x", "config": {"digest": "sha256:1"}}'
    put = client.put_image(repositoryName="team/media", imageManifest=manifest, imageTag="v1")
    client.close()
    digest = put["image"]["imageId"]["imageDigest"]
    assert registries.digest_of(f"{ECR}/team/media:v1") == digest
    with pytest.raises(UnknownImage, match="no image v2"):
        registries.digest_of(f"{ECR}/team/media:v2")
    with pytest.raises(UnknownImage, match="no repository team/nothing"):
        registries.digest_of(f"{ECR}/team/nothing:v1")


def test_ecr_without_credentials_or_out_of_reach_tells_nothing(
    registries: Registries, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(Registry()) as gone:
        pass
    monkeypatch.setenv("AWS_ENDPOINT_URL_ECR", f"http://{gone.address}")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    assert registries.digest_of(f"{ECR}/team/media:v1") is None
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    assert registries.digest_of(f"{ECR}/team/media:v1") is None
