"""Clusters and task definitions: moto keeps them, and what it answered is remembered."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final

from tests.cloud import sizes
from tests.cloud.caller import REGION
from tests.cloud.knobs import Knobs
from tests.cloud.moto_calls import Moto
from tests.cloud.service import AwsFault, Json

_CHANGES: Final = {
    "CreateCluster",
    "DeleteCluster",
    "DeleteTaskDefinitions",
    "DeregisterTaskDefinition",
    "PutClusterCapacityProviders",
    "RegisterTaskDefinition",
    "UpdateCluster",
    "UpdateClusterSettings",
}


class Definitions:
    """Asks moto, with a memory that every change made through here clears."""

    def __init__(self, moto: Moto, knobs: Knobs, pool: ThreadPoolExecutor) -> None:
        self._moto = moto
        self._knobs = knobs
        self._pool = pool
        self._known: dict[tuple[str, str, str], Json] = {}
        self._generation = 0
        self._registering: set[str] = set()

    async def forward(self, operation: str, request: Json) -> Json:
        """Let moto answer."""
        try:
            return await self._ask(operation, request)
        finally:
            if operation in _CHANGES:
                self._known.clear()
                self._generation += 1

    async def register(self, request: Json) -> Json:
        """Register a revision, after the checks that AWS makes and moto does not."""
        family = str(request.get("family", ""))
        if self._knobs.registration_races and family in self._registering:
            raise AwsFault(
                "ClientException",
                "Too many concurrent attempts to create a new revision of the specified family.",
            )
        sizes.check_definition(request)
        self._registering.add(family)
        try:
            return await self.forward("RegisterTaskDefinition", request)
        finally:
            self._registering.discard(family)

    async def cluster(self, name: str) -> Json:
        """Return the cluster; raises `AwsFault` where there is none."""

        async def look() -> Json | None:
            answer = await self._ask("DescribeClusters", {"clusters": [name]})
            found: list[Json] = answer.get("clusters", [])
            return found[0] if found and found[0]["status"] == "ACTIVE" else None

        if (found := self._known.get((REGION.get(), "cluster", name))) is None:
            generation, found = self._generation, await look()
            if found is None:
                raise AwsFault("ClusterNotFoundException", "Cluster not found.")
            if generation == self._generation:
                self._known[REGION.get(), "cluster", name] = found
        return found

    async def definition(self, reference: str) -> Json:
        """Return a task definition that can be run, with `tags`; raises `AwsFault`."""
        if not reference:
            raise AwsFault("ClientException", "TaskDefinition can not be blank.")
        if (found := self._known.get((REGION.get(), "definition", reference))) is None:
            request = {"taskDefinition": reference, "include": ["TAGS"]}
            generation = self._generation
            try:
                answer = await self._ask("DescribeTaskDefinition", request)
            except AwsFault as fault:
                raise AwsFault("ClientException", "TaskDefinition not found.") from fault
            found = answer["taskDefinition"] | {"tags": answer.get("tags") or []}
            if generation == self._generation:
                self._known[REGION.get(), "definition", reference] = found
        if found.get("status") != "ACTIVE":
            raise AwsFault("ClientException", "TaskDefinition is inactive")
        return found

    async def _ask(self, operation: str, request: Json) -> Json:
        asking = partial(self._moto.ask, "ecs", operation, request, region=REGION.get())
        return await asyncio.get_running_loop().run_in_executor(self._pool, asking)
