"""Places on ECS: clusters of one account and Region, by their ARNs."""

import re
from dataclasses import dataclass, replace

_ARN = re.compile(
    r"arn:(?P<partition>aws[a-z-]*):ecs:(?P<region>[a-z0-9-]+):(?P<account>\d{12})"
    r":cluster/(?P<cluster>[A-Za-z0-9_-]{1,255})"
)


@dataclass(frozen=True, slots=True)
class Place:
    """One cluster."""

    partition: str
    region: str
    account: str
    cluster: str

    def __str__(self) -> str:
        """Return the cluster's ARN."""
        return f"arn:{self.partition}:ecs:{self.region}:{self.account}:cluster/{self.cluster}"

    @property
    def home(self) -> str:
        """What all clusters of the account and Region share: quotas and task definitions."""
        return f"ecs:{self.account}:{self.region}"

    def beside(self, cluster: str) -> "Place":
        """Return the cluster of this name or ARN; `ValueError` for another account or Region."""
        if not cluster.startswith("arn:"):
            return replace(self, cluster=cluster)
        place = read_place(cluster)
        if place is None or place.home != self.home:
            raise ValueError(
                f"the cluster {cluster} is not of account {self.account} and Region {self.region}, "
                "where these workers run tasks: start workers there, or name a cluster of here"
            )
        return place


def read_place(arn: str) -> Place | None:
    """Return the cluster with this ARN, None where it is no cluster's."""
    found = _ARN.fullmatch(arn)
    return None if found is None else Place(*found.groups())
