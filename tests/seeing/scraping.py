"""Reads `/metrics` as Prometheus does."""

import asyncio
import re
from collections.abc import Mapping
from pathlib import Path

import httpx
from prometheus_client.parser import text_string_to_metric_families

from barbeque_api.app import create_app
from barbeque_api.parts import Served

PAGE = Path(__file__).parents[2] / "docs" / "observability.md"

Samples = Mapping[tuple[str, frozenset[tuple[str, str]]], float]


def read(text: str) -> Samples:
    """Return every sample by its name and labels."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def scrape(parts: Served) -> Samples:
    """Return what an API of these parts tells, which has never asked the database before."""

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(create_app(parts))
        async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
            return await client.get("/metrics")

    page = asyncio.run(ask())
    assert page.headers["content-type"].startswith("text/plain")
    return read(page.text)


def total(samples: Samples, name: str, **labels: str) -> float:
    """Add up the samples of the name that have these labels."""
    wanted = set(labels.items())
    return sum(value for (each, has), value in samples.items() if each == name and wanted <= has)


def names(samples: Samples) -> set[str]:
    """Return the names of our metrics, a histogram's without what its samples end with."""
    found = {name for name, _ in samples if name.startswith("barbeque_")}
    histograms = {each.removesuffix("_bucket") for each in found if each.endswith("_bucket")}
    kinds = ("_bucket", "_count", "_sum", "_created")
    parts = {f"{name}{kind}" for name in histograms for kind in kinds}
    return {each for each in found - parts if not each.endswith("_created")} | histograms


def documented() -> set[str]:
    """Return the metrics that the page's tables name."""
    return set(re.findall(r"^\| `(barbeque_\w+)` \|", PAGE.read_text(), re.MULTILINE))
