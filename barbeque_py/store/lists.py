"""Lists of executions: narrowed every way, page by page, each page at a bounded price.

A list stands in the order of row ids, the newest first. It is walked along one index, chosen by
what is asked for; all else is tested on the way, on so many rows a page and no more. So a page may
be short, even empty, where few fit: there are no more only when it has no `next`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Select, func, select

from barbeque_py.errors import RequestError
from barbeque_py.store.database import Tx
from barbeque_py.store.entries import COLUMNS, Entry, read_entry
from barbeque_py.store.filters import Filter, all_of, id_range
from barbeque_py.store.leads import Lead, Span, leads
from barbeque_py.store.pages import Page
from barbeque_py.store.tables.runs import executions

MOST = 200
"""Rows on one page."""

_NO_END = 1 << 63


@dataclass(frozen=True, slots=True)
class Counted:
    """How many there are, as far as was looked."""

    number: int
    whole: bool
    """Whether that was as far as they reach."""


def newest(tx: Tx, wanted: Filter, *, before: int | None = None, most: int = 50) -> Page[Entry]:
    """Return executions with a row id below `before`, the newest first; `next` is the next one.

    Cancelled ones whose message has not come yet are left out.
    """
    if wanted.prefix is not None:
        return _with_prefix(tx, wanted, wanted.prefix, before, most)
    span = Span.of(tx, wanted, below=before)
    found = [_walk(tx, lead, span, most) for lead in leads(wanted, tx.now)]
    reached = max((each.next or 0 for each in found), default=0)
    rows = [row for each in found for row in each.rows if row.id >= reached]
    rows.sort(key=lambda row: -row.id)
    return _cut(rows, most, reached or None)


def newer(tx: Tx, wanted: Filter, *, after: int, most: int = 50) -> Page[Entry]:
    """Return the executions right above `after`, the newest first; `next` is the next `after`."""
    span = Span.of(tx, wanted, above=after)
    found = [_walk(tx, lead, span, most, up=True) for lead in leads(wanted, tx.now)]
    reached = min((each.next or _NO_END for each in found), default=_NO_END)
    rows = [row for each in found for row in each.rows if row.id <= reached]
    rows.sort(key=lambda row: row.id)
    page = _cut(rows, most, None if reached == _NO_END else reached)
    return Page(page.rows[::-1], page.next)


def count(tx: Tx, wanted: Filter, *, most: int) -> int:
    """Count executions, up to `most` and one more."""
    return _counted(tx, wanted, most, None).number


def count_near(tx: Tx, wanted: Filter, *, most: int, windows: int) -> Counted:
    """Count as `count` does, in so many windows of the list and no more."""
    return _counted(tx, wanted, most, windows)


def _counted(tx: Tx, wanted: Filter, most: int, windows: int | None) -> Counted:
    if wanted.prefix is not None:
        own = all_of(wanted, tx.now)
        query = select(executions.c.id).where(*id_range(wanted.prefix), *own)
        return Counted(_count(tx, query.limit(most + 1)), whole=True)
    total, passed = 0, 0
    for lead in leads(wanted, tx.now):
        span: Span | None = Span.of(tx, wanted)
        while span is not None and total <= most:
            if passed == windows:
                return Counted(total, whole=False)
            passed += 1
            edge = _edge(tx, lead, span) if lead.rest else None
            query = lead.select(lead.key, span.down_to(edge)).limit(most + 1)
            total += _count(tx, query)
            span = None if edge is None else replace(span, below=edge)
    return Counted(min(total, most + 1), whole=True)


def _cut(rows: Sequence[Entry], most: int, reached: int | None) -> Page[Entry]:
    """Return the first rows of all that there are as far as the walk has reached."""
    return Page(rows[:most], rows[most - 1].id if len(rows) > most else reached)


def _walk(tx: Tx, lead: Lead, span: Span, most: int, *, up: bool = False) -> Page[Entry]:
    """Return one row more than `most`, of the next rows in the span that the lead passes."""
    edge = _edge(tx, lead, span, up=up) if lead.rest else None
    span = span.up_to(edge) if up else span.down_to(edge)
    query = lead.select(COLUMNS, span)
    found = tx.execute(query.order_by(lead.key if up else lead.key.desc()).limit(most + 1))
    rows = [read_entry(row) for row in found]
    return Page(rows, rows[most].id if len(rows) > most else edge)


def _edge(tx: Tx, lead: Lead, span: Span, *, up: bool = False) -> int | None:
    """Return the last row id that one page looks at; None when that is all there are."""
    query = lead.select(lead.key, span, tested=False)
    query = query.order_by(lead.key if up else lead.key.desc()).offset(lead.window - 1).limit(1)
    return tx.execute(query).scalar_one_or_none()


def _with_prefix(tx: Tx, wanted: Filter, prefix: str, before: int | None, most: int) -> Page[Entry]:
    """Return those whose id begins so, in the order of their ids, which is that of time."""
    query = select(*COLUMNS).where(*id_range(prefix), *all_of(wanted, tx.now))
    if before is not None:
        query = query.where(executions.c.message_id < _message_id_of(tx, before))
    query = query.order_by(executions.c.message_id.desc()).limit(most + 1)
    return _cut([read_entry(row) for row in tx.execute(query)], most, None)


def _message_id_of(tx: Tx, number: int) -> str:
    """Return where to go on; raises `RequestError` when that execution is kept no longer."""
    found = tx.execute(select(executions.c.message_id).where(executions.c.id == number))
    message_id: str | None = found.scalar_one_or_none()
    if message_id is None:
        raise RequestError(f"before: no execution {number} is kept; begin with the first page")
    return message_id


def _count(tx: Tx, query: Select[Any]) -> int:
    return int(tx.execute(select(func.count()).select_from(query.subquery())).scalar_one())
