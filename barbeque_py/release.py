"""Give an app another image, as a numbered revision of it, or one that it had before."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from barbeque_py.apps import Revision
from barbeque_py.errors import ImageRefused, Outrun, RequestError, UnknownApp, UnknownRevision
from barbeque_py.identity import Identity
from barbeque_py.images import is_allowed, is_pinned, with_digest, with_registry
from barbeque_py.registry import Registry
from barbeque_py.store import Tx, audit, revisions

_LOOKED_BACK = 1_000
"""How many revisions a rollback looks through for another image."""


@dataclass(frozen=True, slots=True)
class Sources:
    """Where images may come from, and who knows what their tags mean."""

    registry: Registry | None = None
    """None asks nobody: workers find out."""
    default: str | None = None
    """The registry of images that name none."""
    allowed: tuple[str, ...] = ()
    """The only registries, or folders of them, from which images may come; empty is anywhere."""

    def check(self, image: str) -> None:
        """Raise `ImageRefused` unless images may come from there."""
        full = with_registry(image, self.default)
        if not is_allowed(full, self.allowed):
            raise ImageRefused(
                f"the image {full[:200]} comes from nowhere that BARBEQUE_REGISTRIES names: "
                f"{', '.join(self.allowed)}"
            )

    def pin(self, image: str) -> str | None:
        """Return what the image's name means now, None where that can't be asked here.

        Raises `UnknownImage` when its registry is sure that there is none.
        """
        full = with_registry(image, self.default)
        if is_pinned(full):
            return full
        digest = self.registry.digest_of(full) if self.registry is not None else None
        return None if digest is None else with_digest(full, digest)


def release(
    tx: Tx,
    who: Identity,
    app: str,
    image: str,
    *,
    pinned: str | None,
    note: str | None = None,
) -> Revision:
    """Make this image the app's newest revision; where it is that already, return what is there.

    From then on the app's executions begin on it; those that have begun go on as they were. Raises
    `UnknownApp`.
    """
    before = revisions.current(tx, app)
    if before is not None and pinned and (before.image, before.pinned) == (image, pinned):
        return before
    made = revisions.add(tx, app, image, pinned=pinned, made_by=who.name, note=note)
    if made is None:
        raise UnknownApp(f"no app is called {app!r}")
    audit.record(tx, who, "app.release", f"app:{app}", before=_facts(before), after=_facts(made))
    return made


def roll_back(  # noqa: PLR0913 - who goes back where, and from where
    tx: Tx,
    who: Identity,
    app: str,
    sources: Sources,
    *,
    to: int | None,
    current: int | None = None,
    note: str | None = None,
) -> Revision:
    """Bring an earlier revision's image back as the newest one: `to`, or the one before this.

    The one before is the newest with another image; of a revision that was brought back, the one
    before that. With `current`, the number of the revision to be left, nothing happens unless the
    app is there. Raises `UnknownApp`, `UnknownRevision`, `Outrun` and `RequestError`.
    """
    now = revisions.current(tx, app, lock=True)
    if now is None:
        raise UnknownApp(f"no app is called {app!r}, or it has no revision yet: release an image")
    if current not in (None, now.number):
        raise Outrun(f"revision {now.number} is the app's current one, not {current}")
    found = _before(tx, now) if to is None else revisions.get(tx, app, to)
    if found is None:
        raise UnknownRevision(
            f"the app {app} has no revision {to}"
            if to is not None
            else f"the app {app} has run no other image before"
        )
    if found.number == now.number:
        raise RequestError(f"revision {to} is the app's current one")
    sources.check(found.image)
    made = revisions.add(
        tx,
        app,
        found.image,
        pinned=found.pinned,
        made_by=who.name,
        note=note,
        rollback_of=found.number,
    )
    assert made is not None, "an app with a revision is there"
    audit.record(tx, who, "app.rollback", f"app:{app}", before=_facts(now), after=_facts(made))
    return made


def _before(tx: Tx, now: Revision) -> Revision | None:
    origin = now.rollback_of or now.number
    earlier = revisions.history(tx, now.app, before=origin, most=_LOOKED_BACK)
    others = (each for each in earlier if _means(each) != _means(now))
    return next(others, None)


def _means(revision: Revision) -> str:
    return revision.pinned or f"revision {revision.number}"


def _facts(revision: Revision | None) -> Mapping[str, Any] | None:
    if revision is None:
        return None
    return {
        "revision": revision.number,
        "image": revision.image,
        "pinned": revision.pinned,
        "rollback_of": revision.rollback_of,
    }
