"""An app with a history of images, and executions that fared on them well and badly."""

from barbeque_py.apply import Applying, Wish
from barbeque_py.apps import App
from barbeque_py.identity import EVERYBODY
from barbeque_py.outcomes import Fate, Reason
from barbeque_py.release import release
from barbeque_py.store import Tx, apps
from barbeque_py.yaml_tree import Tree
from tests.console.history import RUNBOOK, SCHEMA
from tests.console.rigs import Place

FIRST, SECOND = (f"registry.example.com/media@sha256:{each * 64}" for each in "ab")


def fill_releases(place: Place) -> None:
    """Release two images; six executions fare well on the first, six badly on the second."""
    make_known(place, "registry.example.com/media:1", FIRST)
    run(place, Fate(Reason.EXITED, 0))
    make_known(place, "registry.example.com/media:2", SECOND)
    run(place, Fate(Reason.EXITED, 1))
    edit(place)


def edit(place: Place) -> None:
    """Let somebody change a job by a file, and so that it has editions."""
    section = {
        "name": "media",
        "image": "registry.example.com/media:2",
        "description": "Pictures and videos",
        "notify": NOTIFY,
        "jobs": [ENCODE],
    }
    file = Tree({"apps": [section]})
    Applying(place.store, place.parts.sources, None, None).make(Wish(EVERYBODY, file))


def make_known(place: Place, image: str, pinned: str | None) -> None:
    """Release the image."""

    def make(tx: Tx) -> None:
        app = apps.get_app(tx, "media") or App("media", image="")
        described = App("media", app.image, description="Pictures and videos", notify=NOTIFY)
        apps.put_app(tx, described)
        release(tx, EVERYBODY, "media", image, pinned=pinned, note="as planned")

    place.store.write(make)


TIMES = [
    {"name": "hourly", "cron": "5 * * * *"},
    {"name": "n" * 100, "cron": "0 1 * * mon-fri", "timezone": "Asia/Tokyo"},
]
ENCODE = {
    "name": "Encode",
    "command": ["encode", "x" * 200],
    "env": {"A": "b"},
    "schedules": TIMES,
    "runbook": RUNBOOK,
    "message_schema": SCHEMA,
}
NOTIFY: dict[str, object] = {
    "slack": "#media",
    "webhook": "https://hooks.example.com/secret-canary",
}


def run(place: Place, fate: Fate) -> None:
    """Let six executions end so on what is released now."""
    for _ in range(6):
        place.enqueue(queue="fast")
        place.settle(place.start("fast"), fate)
