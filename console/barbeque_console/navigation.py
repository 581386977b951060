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
    scope: str = "read"
    """What one needs to see it."""
    of_apps: bool = False
    """Whether a role to one app is enough: the page then shows that app."""


ENTRIES = (
    Entry("/", _("Overview"), "home", "o", of_apps=True),
    Entry("/executions", _("Executions"), "list", "e", of_apps=True),
    Entry("/failures", _("Failures"), "failure", "f", of_apps=True),
    Entry("/jobs", _("Jobs"), "job", "j", of_apps=True),
    Entry("/apps", _("Apps"), "app", "a", of_apps=True),
    Entry("/stats", _("Stats"), "chart", "s", of_apps=True),
    Entry("/timeline", _("Timeline"), "timeline", "l", of_apps=True),
    Entry("/queues", _("Queues"), "queue", "q"),
    Entry("/workers", _("Workers"), "worker", "w"),
    Entry("/dead_messages", _("Dead messages"), "dead", "d"),
    Entry("/schedules", _("Schedules"), "calendar", "c", of_apps=True),
    Entry("/subscriptions", _("Subscriptions"), "live", "b", of_apps=True),
    Entry("/notices", _("Notices"), "bell", "n", of_apps=True),
    Entry("/audit", _("Audit"), "shield", "u", "deploy", of_apps=True),
    Entry("/settings", _("Settings"), "gear", ",", "admin"),
    Entry("/help", _("Help"), "help", "h", of_apps=True),
)
