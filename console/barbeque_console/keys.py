"""The keys of the console: this table is the help that people read and what the script obeys."""

from dataclasses import dataclass

from barbeque_console.navigation import ENTRIES
from barbeque_console.tongue import mark as _


@dataclass(frozen=True, slots=True)
class Key:
    """One key, or several one after the other, and what it does."""

    keys: str
    says: str
    act: str
    """What the script does: `go` to `aim`, `click` on what `aim` selects, or a word it knows."""
    aim: str = ""


KEYS = (
    Key("?", _("Show these keys"), "help"),
    Key("/", _("Search"), "search"),
    Key("j", _("Next row"), "row", "1"),
    Key("k", _("Row before"), "row", "-1"),
    Key("x", _("Choose the row"), "choose"),
    Key("Enter", _("Open the row"), "open"),
    Key("r", _("Retry"), "click", "#retry"),
    Key("c", _("Cancel"), "click", "#cancel"),
    Key("[", _("Newer"), "click", "a[rel=prev]"),
    Key("]", _("Older"), "click", "a[rel=next]"),
    Key(".", _("Live updates on or off"), "live"),
    Key("t", _("Light or dark"), "theme"),
    *(Key(f"g {each.key}", each.name, "go", each.path) for each in ENTRIES),
)
