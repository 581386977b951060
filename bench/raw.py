"""The bare thing beside the product: the engine's API, and a loop over it."""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlencode

from barbeque_py import clock
from barbeque_py.executors.engine import Engine

STRANGER = "another"
"""What the bare containers have for an installation: the product looks past them."""


def description_of(engine: Engine, container: str, command: list[str]) -> dict[str, Any]:
    """Return what makes a container like this one, of the product, but that runs the command.

    Whatever the product asks of the engine (limits, network, log driver, init, environment), the
    bare loop asks, too, because it is copied and not written down a second time.
    """
    found = engine.call("GET", f"/containers/{container}/json").json()
    config = found["Config"]
    return {
        "Image": config["Image"],
        "Env": config["Env"],
        "Cmd": command,
        "Labels": config["Labels"] | {"barbeque.installation": STRANGER},
        "HostConfig": found["HostConfig"],
    }


def create(engine: Engine, description: dict[str, Any]) -> str:
    """Create a container and return its id."""
    answer = engine.call("POST", "/containers/create", content=description)
    if answer.status != 201:
        raise RuntimeError(f"create answered {answer.status}: {answer.sentence()}")
    return str(answer.json()["Id"])


def start(engine: Engine, container: str) -> None:
    """Start it."""
    engine.call("POST", f"/containers/{container}/start")


def remove(engine: Engine, container: str) -> None:
    """Remove it, running or not."""
    engine.ask("DELETE", f"/containers/{container}?force=1&v=1")


def containers_of(engine: Engine, installation: str) -> list[str]:
    """Return the ids of the containers with this installation's label."""
    label = f"barbeque.installation={installation}"
    query = urlencode({"all": 1, "filters": json.dumps({"label": [label]})})
    return [str(each["Id"]) for each in engine.call("GET", f"/containers/json?{query}").json()]


def run_loop(
    engine: Engine, description: dict[str, Any], *, count: int, at_once: int
) -> tuple[float, float]:
    """Create, start and wait for so many containers; return the seconds, without and with removal.

    The removal comes after all have ended, so the first figure is the loop's alone.
    """

    def run(_: int) -> str:
        container = create(engine, description)
        start(engine, container)
        engine.call("POST", f"/containers/{container}/wait")
        return container

    with ThreadPoolExecutor(at_once) as pool:
        began = clock.monotonic()
        made = list(pool.map(run, range(count)))
        ended = clock.monotonic()
        list(pool.map(lambda container: remove(engine, container), made))
        return ended - began, clock.monotonic() - began
