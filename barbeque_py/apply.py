"""Apply a file: the one way in which apps, jobs, queues and what is theirs come to be defined."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from barbeque_py.applying import check_named
from barbeque_py.broker import Queues
from barbeque_py.changes import Change, Making, check_images, make, plan, refuse_topics, remove_app
from barbeque_py.errors import ConfigurationError, QueueRefused, UnknownImage
from barbeque_py.identity import Identity
from barbeque_py.manifest import Manifest, parse
from barbeque_py.release import Sources
from barbeque_py.store import Store, Tx, apps, subscriptions
from barbeque_py.store.editions import APPLY, CONSOLE
from barbeque_py.subscriptions import Topics, Unfinished, bring_right
from barbeque_py.yaml_tree import Tree


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be applied, for whom, and how."""

    who: Identity
    file: Tree
    base: Path | None = None
    """The file's directory; without it relative paths are faults."""
    planned: str | None = None
    """The state for which it was planned; None makes it whatever there is."""
    prune: bool = False
    """Whether jobs and subscriptions go that the file does not name, of apps that it names."""
    still: Callable[[Tx], bool] | None = None
    """Tells, while nobody else can change the apps, whether they are what the file was made of."""
    made_with: str = APPLY
    why: str = ""


@dataclass(frozen=True, slots=True)
class Applying:
    """What applying a file works with."""

    store: Store
    sources: Sources
    queues: Queues | None
    topics: Topics | None

    def plan(self, wish: Wish) -> list[Change]:
        """Say what applying would change, and change nothing.

        Raises `ManifestError` for a file that can't be applied, and `Forbidden`.
        """
        manifest = self._read(wish)
        return self.store.read(lambda tx: plan(tx, wish.who, manifest, wish.file, prune=wish.prune))

    def make(self, wish: Wish) -> tuple[list[Change], list[Unfinished]]:
        """Make all of it or nothing; return the changes, and what SNS could not be told of.

        With SQS the queues are made there first. Raises what `plan` raises, `Outrun` when what
        there is has changed since it was planned, and `QueueRefused`.
        """
        manifest = self._read(wish)
        self._make_queues(wish, manifest)
        pins, made_with = self._pins(manifest), wish.made_with
        making = Making(wish.who, pins, wish.planned, wish.still, made_with, wish.why)
        changes = self.store.write(
            lambda tx: make(tx, manifest, wish.file, making, prune=wish.prune)
        )
        return changes, self._subscribe(changes)

    def remove_app(self, who: Identity, name: str) -> None:
        """Remove the app with all that is defined of it; raises what `changes.remove_app` does."""
        making = Making(who, {}, made_with=CONSOLE)
        self._subscribe(self.store.write(lambda tx: remove_app(tx, name, making)))

    def _read(self, wish: Wish) -> Manifest:
        manifest = parse(wish.file, base=wish.base)
        check_named(wish.who, manifest)
        if manifest.subscriptions and self.topics is None:
            raise refuse_topics(wish.file)
        check_images(manifest, wish.file, self.sources)
        return manifest

    def _pins(self, manifest: Manifest) -> dict[str, str | None]:
        """Find out what the images mean that are new to their apps.

        One that its registry does not know may have been built on the worker's machine.
        """
        had = {app.name: app.image for app in self.store.read(apps.all_apps)}
        new = {app.image for app in manifest.apps if app.image != had.get(app.name, "")}
        pins = dict.fromkeys(new)
        for image in new:
            with suppress(UnknownImage):
                pins[image] = self.sources.pin(image)
        return pins

    def _make_queues(self, wish: Wish, manifest: Manifest) -> None:
        """Make the broker's queues that the file names, before the rows that send to them.

        A queue without a row is found by the next apply, and nobody sends to it until then.
        """
        if self.queues is None:
            return
        self.store.read(lambda tx: plan(tx, wish.who, manifest, wish.file, prune=wish.prune))
        named = {queue.name for queue in manifest.queues} | {job.queue for job in manifest.jobs}
        named |= {each.queue for each in manifest.schedules if each.queue is not None}
        for name in sorted(named):
            try:
                self.queues.ensure_queue(name)
            except ConfigurationError as error:
                raise QueueRefused(f"nothing was stored, as {error}") from error

    def _subscribe(self, changes: Sequence[Change]) -> list[Unfinished]:
        """Bring SNS right for what the file says and for what is left, after the commit."""
        topics = self.topics
        if topics is None:
            return []
        queues = {each.heard_by for each in changes if each.heard_by is not None}
        queues |= {each.queue for each in self.store.read(subscriptions.unfinished)}
        return [each for queue in sorted(queues) for each in bring_right(self.store, topics, queue)]
