"""Asks Amazon ECR what a tag means, under the role that this process has."""

import logging
import threading
from typing import Any

from barbeque_py.aws import FAILURES, code_of, explain, open_client
from barbeque_py.errors import ConfigurationError, UnknownImage
from barbeque_py.images import ECR, reference_of, repository_of

log = logging.getLogger(__name__)

_MEDIA_TYPES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
_PATIENCE = 5.0
_ABSENT = ("ImageNotFound", "RepositoryNotFoundException")


class EcrRegistry:
    """ECR of any account and Region; safe for threads."""

    def __init__(self) -> None:
        self._clients: dict[str, Any] = {}
        self._guard = threading.Lock()

    def digest_of(self, image: str) -> str | None:
        """Ask for the tag's image; None when this role may not or ECR does not answer."""
        host, _, name = repository_of(image).partition("/")
        facts = ECR.fullmatch(host)
        assert facts is not None, "only asked of its own registries"
        tag = reference_of(image)
        try:
            answer = self._client(facts["region"]).batch_get_image(
                registryId=facts["account"],
                repositoryName=name,
                imageIds=[{"imageTag": tag}],
                acceptedMediaTypes=list(_MEDIA_TYPES),
            )
        except (*FAILURES, ConfigurationError) as error:
            if code_of(error) in _ABSENT:
                raise UnknownImage(f"there is no repository {name} in {host}") from error
            log.warning("what %s means is not known yet: %s", image, explain(error))
            return None
        found = [each["imageId"]["imageDigest"] for each in answer["images"]]
        if not found:
            raise UnknownImage(f"there is no image {tag} in the repository {host}/{name}")
        return str(found[0])

    def close(self) -> None:
        """Close the connections."""
        for client in self._clients.values():
            client.close()

    def _client(self, region: str) -> Any:
        with self._guard:
            if region not in self._clients:
                self._clients[region] = open_client(
                    "ecr", region=region, connections=4, patience=_PATIENCE, tries=1
                )
            return self._clients[region]
