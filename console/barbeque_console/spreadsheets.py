"""Lines of files for spreadsheets (CSV, RFC 4180) in which no text is taken for a formula."""

import csv
import io
from collections.abc import Iterable
from datetime import datetime

from barbeque_py.clock import rfc3339

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
"""What a spreadsheet takes for the beginning of something to be worked out."""


def write_line(cells: Iterable[object]) -> str:
    """Return the cells as a line; instants as RFC 3339 has them, nothing for None."""
    written = io.StringIO()
    csv.writer(written).writerow([_cell(each) for each in cells])
    return written.getvalue()


def _cell(fact: object) -> object:
    if isinstance(fact, datetime):
        return rfc3339(fact)
    return f"'{fact}" if isinstance(fact, str) and fact.startswith(_FORMULA) else fact
