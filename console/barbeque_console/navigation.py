"""The sidebar: every page that it leads to is one line here."""

from dataclasses import dataclass

from barbeque_console.tongue import mark as _


@dataclass(frozen=True, slots=True)
class Entry:
    """One page of the sidebar."""

    path: str
    name: str
    icon: str
    """One of those in `icons.html`."""
    key: str
    """What follows `g` on the keyboard."""


ENTRIES = (
    Entry("/", _("Overview"), "home", "o"),
    Entry("/executions", _("Executions"), "list", "e"),
    Entry("/failures", _("Failures"), "failure", "f"),
    Entry("/jobs", _("Jobs"), "job", "j"),
    Entry("/stats", _("Stats"), "chart", "s"),
    Entry("/timeline", _("Timeline"), "timeline", "l"),
    Entry("/queues", _("Queues"), "queue", "q"),
    Entry("/dead_messages", _("Dead messages"), "dead", "d"),
)
