"""Seam: what an image's registry knows of it."""

from typing import Protocol


class Registry(Protocol):
    """Asks the registries that images name."""

    def digest_of(self, image: str) -> str | None:
        """Return the digest that the image's tag means now, as `sha256:...`.

        None where nobody here can ask: the image names no registry, the registry lets only others
        in or does not answer. Raises `UnknownImage` when it is sure that there is no such image.
        """
        ...
