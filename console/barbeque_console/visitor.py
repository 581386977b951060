"""Who asks for a page, as pages and templates know them."""

from dataclasses import dataclass
from datetime import datetime

from barbeque_console.navigation import Entry
from barbeque_py.identity import Scope
from barbeque_py.roles import Person, write_grants
from barbeque_py.store import Store, Tx, workers
from barbeque_py.visits import Visit


@dataclass(frozen=True, slots=True)
class Idleness:
    """No worker is at work."""

    now: datetime
    since: datetime | None
    """When the last one was seen; None where all were stopped, or none has come yet."""


@dataclass(frozen=True, slots=True)
class Visitor:
    """Somebody whom the door has let in."""

    person: Person
    store: Store
    form_key: str = ""
    """What forms of this visit carry, and no other site's can know."""
    visit: Visit | None = None
    """Their session; None where a proxy vouches for each request, or nobody is asked."""
    read_only: bool = False

    @property
    def name(self) -> str:
        """Who they are."""
        return self.person.name

    @property
    def roles(self) -> str:
        """What they are."""
        return write_grants(self.person.grants)

    def may(self, scope: str, app: str | None = None) -> bool:
        """Tell templates whether to offer what needs this scope; by its word, as in `enqueue`."""
        asked = Scope(scope)
        changes = asked not in (Scope.READ, Scope.LOGS)
        return self.person.may(asked, app) and not (changes and self.read_only)

    def may_enter(self, entry: Entry) -> bool:
        """Tell whether a page of the sidebar is for them."""
        scope = Scope(entry.scope)
        return self.person.may(scope) or (entry.of_apps and bool(self.person.apps(scope)))

    def idleness(self) -> Idleness | None:
        """Return that nobody starts what is enqueued; None while somebody does."""

        def look(tx: Tx) -> Idleness | None:
            seen = workers.last_seen(tx)
            at_work = seen is not None and seen > tx.now - workers.ALIVE
            return None if at_work else Idleness(tx.now, seen)

        return self.store.read(look)

    def may_see(self, scope: str, app: str | None = None) -> bool:
        """As `may`, for pages: read-only mode shows them, too."""
        return self.person.may(Scope(scope), app)
