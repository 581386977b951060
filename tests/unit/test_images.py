"""What images are called, and where they come from."""

import pytest

from barbeque_py.images import (
    ECR,
    is_allowed,
    is_pinned,
    reference_of,
    repository_of,
    with_digest,
    with_registry,
    with_tag,
)


@pytest.mark.parametrize(
    ("image", "registry", "full"),
    [
        ("media:1", "registry.example.com", "registry.example.com/media:1"),
        ("team/media", "localhost:5000", "localhost:5000/team/media"),
        ("localhost/media", "registry.example.com", "localhost/media"),
        ("other.example.com/media", "registry.example.com", "other.example.com/media"),
        ("host:5000/media", "registry.example.com", "host:5000/media"),
        ("media", None, "media"),
        ("", "registry.example.com", ""),
    ],
)
def test_an_image_that_names_no_registry_comes_from_the_default_one(
    image: str, registry: str | None, full: str
) -> None:
    assert with_registry(image, registry) == full


DIGEST = "sha256:" + "0" * 64


@pytest.mark.parametrize(
    ("image", "repository", "reference"),
    [
        ("media", "media", "latest"),
        ("media:1", "media", "1"),
        ("host:5000/team/media", "host:5000/team/media", "latest"),
        ("host:5000/team/media:1", "host:5000/team/media", "1"),
        (f"host:5000/team/media:1@{DIGEST}", "host:5000/team/media", DIGEST),
        (f"media@{DIGEST}", "media", DIGEST),
    ],
)
def test_a_name_has_a_repository_and_a_reference(
    image: str, repository: str, reference: str
) -> None:
    assert repository_of(image) == repository
    assert reference_of(image) == reference
    assert with_digest(image, DIGEST) == f"{repository}@{DIGEST}"
    assert with_tag(image, "2") == f"{repository}:2"


def test_digests_and_ids_are_pinned_and_tags_are_not() -> None:
    assert is_pinned(f"media@{DIGEST}")
    assert is_pinned(DIGEST)
    assert not is_pinned("media:1")
    assert not is_pinned("sha256")


@pytest.mark.parametrize(
    ("image", "allowed", "may"),
    [
        ("anything", "", True),
        ("r.example.com/media:1", "r.example.com", True),
        ("r.example.com/team/media", "r.example.com/team", True),
        ("r.example.com/teams/media", "r.example.com/team", False),
        ("r.example.com.evil.org/media", "r.example.com", False),
        ("r.example.com:444/media", "r.example.com", False),
        ("media", "r.example.com", False),
        (DIGEST, "r.example.com", False),
        ("debian:bookworm", "docker.io/library", True),
        ("index.docker.io/library/debian", "docker.io/library", True),
        ("evil/debian", "docker.io/library", False),
        ("evil/debian", "r.example.com,docker.io", True),
        ("docker.io/evil/debian", "registry-1.docker.io", True),
    ],
)
def test_images_come_from_where_they_may(image: str, allowed: str, may: bool) -> None:
    assert is_allowed(image, tuple(filter(None, allowed.split(",")))) is may


@pytest.mark.parametrize(
    ("host", "account", "region"),
    [
        ("123456789012.dkr.ecr.eu-west-1.amazonaws.com", "123456789012", "eu-west-1"),
        ("123456789012.dkr.ecr-fips.us-east-1.amazonaws.com", "123456789012", "us-east-1"),
        ("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn", "123456789012", "cn-north-1"),
        ("123456789012.dkr-ecr.eu-west-1.on.aws", "123456789012", "eu-west-1"),
    ],
)
def test_amazons_registries_are_told_by_their_names(host: str, account: str, region: str) -> None:
    facts = ECR.fullmatch(host)
    assert facts is not None
    assert (facts["account"], facts["region"]) == (account, region)
    assert ECR.fullmatch(f"{host}.evil.org") is None
