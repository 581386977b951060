"""What the image of an app means on ECS: the digest behind its tag, where this worker may ask."""

from barbeque_py import clock
from barbeque_py.errors import LaunchRefused, UnknownImage
from barbeque_py.images import is_pinned, with_digest
from barbeque_py.registry import Registry

_SILENT_FOR = 60.0
"""Seconds for which a registry that told nothing is not asked again."""


class Images:
    """Pins images to their digests; ECS pulls what is not pinned by its tag."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._silent: dict[str, float] = {}

    def pin(self, image: str) -> str:
        """Return the image under its digest, or as it is; raises `LaunchRefused` without one."""
        if is_pinned(image) or self._silent.get(image, 0.0) > clock.monotonic():
            return image
        try:
            digest = self._registry.digest_of(image)
        except UnknownImage as error:
            raise LaunchRefused(
                f"{error}: push it, or release another image", blame_definition=True
            ) from error
        if digest is not None:
            return with_digest(image, digest)
        self._silent[image] = clock.monotonic() + _SILENT_FOR
        return image
