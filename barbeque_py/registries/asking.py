"""Asks each image's own registry, the way that registry is asked."""

from threading import Lock
from typing import TYPE_CHECKING

from barbeque_py.images import ECR, registry_of
from barbeque_py.registries.distribution import DistributionRegistry
from barbeque_py.registry import Registry

if TYPE_CHECKING:
    from barbeque_py.registries.ecr import EcrRegistry


class Registries:
    """Every registry there is; speaks to one when an image of it is first asked for."""

    def __init__(self) -> None:
        self._distribution: DistributionRegistry | None = None
        self._ecr: EcrRegistry | None = None
        self._guard = Lock()

    def digest_of(self, image: str) -> str | None:
        """Return what the tag means now; None for a name without a registry: who knows whose."""
        host = registry_of(image)
        if host is None:
            return None
        registry: Registry = self._open_ecr() if ECR.fullmatch(host) else self._open_distribution()
        return registry.digest_of(image)

    def close(self) -> None:
        """Close the connections."""
        for each in (self._distribution, self._ecr):
            if each is not None:
                each.close()

    def _open_ecr(self) -> "EcrRegistry":
        from barbeque_py.registries.ecr import EcrRegistry  # noqa: PLC0415 - boto3 takes 0.1 s

        with self._guard:
            self._ecr = self._ecr or EcrRegistry()
            return self._ecr

    def _open_distribution(self) -> DistributionRegistry:
        with self._guard:
            self._distribution = self._distribution or DistributionRegistry()
            return self._distribution
