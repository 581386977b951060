"""Names of images: where they come from, and whether they can still change their meaning."""

import re

ECR = re.compile(
    r"(?P<account>\d{12})\.dkr[.-]ecr(-fips)?\.(?P<region>[a-z0-9-]+)\.(amazonaws\.com(\.cn)?|on\.aws)"
)
"""What Amazon's registries are called."""

IMAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/:@-]{0,399}")
"""What images may be called."""

_DIGEST = "sha256:"
_HUB = "docker.io"
_HUB_NAMES = frozenset({_HUB, "index.docker.io", "registry-1.docker.io"})


def is_pinned(image: str) -> bool:
    """Tell whether the name means one image for ever: it ends in a digest, or is an image's id."""
    return image.startswith(_DIGEST) or f"@{_DIGEST}" in image


def with_registry(image: str, registry: str | None) -> str:
    """Return the image under the registry, unless it names one or is an image's id."""
    if not registry or not image or image.startswith(_DIGEST) or registry_of(image) is not None:
        return image
    return f"{registry}/{image}"


def registry_of(image: str) -> str | None:
    """Return the registry that the image names: a first part like a host's; None without one."""
    first, slash, _ = image.partition("/")
    names_one = bool(slash) and ("." in first or ":" in first or first == "localhost")
    return first if names_one else None


def repository_of(image: str) -> str:
    """Return the name without tag and digest, as `registry.example.com:5000/team/media`."""
    name = image.partition("@")[0]
    folder, slash, last = name.rpartition("/")
    return f"{folder}{slash}{last.partition(':')[0]}"


def reference_of(image: str) -> str:
    """Return what the repository is asked for: the digest, else the tag, else `latest`."""
    _, at, digest = image.partition("@")
    return digest if at else image.rpartition("/")[2].partition(":")[2] or "latest"


def with_tag(image: str, tag: str) -> str:
    """Return the image under another tag; registry, port and path stay, a digest goes."""
    return f"{repository_of(image)}:{tag}"


def with_digest(image: str, digest: str) -> str:
    """Return the image under this digest instead of its tag."""
    return f"{repository_of(image)}@{digest}"


def is_allowed(image: str, allowed: tuple[str, ...]) -> bool:
    """Tell whether the image lies under one of these: a registry, or a registry and folders.

    Nothing allowed means everything. A name without a registry is Docker Hub's.
    """
    name = _full(image)
    return not allowed or any(
        name == each or name.startswith(f"{each}/") for each in map(_spelled, allowed)
    )


def _full(image: str) -> str:
    """Return the repository as Docker Hub's own names are spelled in full."""
    name = repository_of(image)
    if registry_of(name) is not None:
        return _spelled(name)
    return f"{_HUB}/{name}" if "/" in name else f"{_HUB}/library/{name}"


def _spelled(name: str) -> str:
    registry, slash, rest = name.partition("/")
    return f"{_HUB if registry in _HUB_NAMES else registry}{slash}{rest}"
