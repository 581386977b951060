"""The audit trail: who changed what, when, from where; with what there was before and after."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from fastapi import Request
from starlette.responses import Response, StreamingResponse

from barbeque_console.executions import READ
from barbeque_console.pages import Pages
from barbeque_console.paging import read_number, stretch
from barbeque_console.parts import Shown
from barbeque_console.refusals import Missing
from barbeque_console.rights import Router, chosen_app, needs, visitor_of
from barbeque_console.spreadsheets import write_line
from barbeque_py.clock import rfc3339
from barbeque_py.identity import Scope
from barbeque_py.store import Tx, audit
from barbeque_py.store.audit import Entry, Wanted
from barbeque_py.store.pages import Page

MOST_EXPORTED = 100_000
"""Rows of one export; the newest."""
_AT_ONCE = 1000
_NAMES = ("actor", "action", "subject", "app", "since", "until")
_FIELDS = ("id", "at", "actor", "origin", "action", "subject", "app", "before", "after")


@dataclass(frozen=True, slots=True)
class Difference:
    """One fact of what was changed."""

    name: str
    before: str | None
    after: str | None


class AuditPages:
    """Shows the audit trail and hands it out as a file."""

    def __init__(self, parts: Shown, pages: Pages) -> None:
        self._parts = parts
        self._pages = pages

    def router(self) -> Router:
        """Return the routes."""
        router = Router()
        reading = needs(Scope.DEPLOY, of=chosen_app)
        router.add_api_route("/audit", self.show, methods=READ, **reading)
        router.add_api_route("/audit.csv", self.export_csv, methods=["GET"], **reading)
        router.add_api_route("/audit.json", self.export_json, methods=["GET"], **reading)
        return router

    def show(self, request: Request) -> Response:
        """Show changes, the newest first, as the query asks."""
        chosen, wanted = _read(request)
        before, after = (
            read_number(request.query_params.get(each)) for each in ("before", "after")
        )
        now, found = self._parts.store.read(
            lambda tx: (
                tx.now,
                stretch(
                    lambda number, most: _older(tx, wanted, number, most),
                    lambda number, most: _newer(tx, wanted, number, most),
                    before=before,
                    after=after,
                    kept=list(chosen.items()),
                ),
            )
        )
        return self._pages.render(
            request.scope,
            "audit.html",
            now=now,
            found=found,
            chosen=chosen,
            differences=differences,
            most=MOST_EXPORTED,
        )

    def export_csv(self, request: Request) -> Response:
        """Hand the same rows out for a spreadsheet."""

        def lines(rows: Iterator[Entry]) -> Iterator[str]:
            yield write_line(_FIELDS)
            for row in rows:
                yield write_line(getattr(row, name) for name in _FIELDS)

        return self._export(request, "csv", "text/csv; charset=utf-8", lines)

    def export_json(self, request: Request) -> Response:
        """Hand the same rows out for programs: one object a line."""

        def lines(rows: Iterator[Entry]) -> Iterator[str]:
            for row in rows:
                facts = {name: getattr(row, name) for name in _FIELDS} | {
                    "at": rfc3339(row.at),
                    "before": _parsed(row.before),
                    "after": _parsed(row.after),
                }
                yield json.dumps(facts, ensure_ascii=False) + "\n"

        return self._export(request, "jsonl", "application/x-ndjson", lines)

    def _export(
        self,
        request: Request,
        kind: str,
        media_type: str,
        lines: Callable[[Iterator[Entry]], Iterator[str]],
    ) -> Response:
        _, wanted = _read(request)
        name = f'attachment; filename="audit.{kind}"'
        return StreamingResponse(
            lines(self._rows(wanted)),
            media_type=media_type,
            headers={"content-disposition": name},
        )

    def _rows(self, wanted: Wanted) -> Iterator[Entry]:
        """Yield rows, the newest first, each batch in a transaction of its own."""
        before: int | None = None
        for _ in range(MOST_EXPORTED // _AT_ONCE):
            found = self._parts.store.read(
                lambda tx, last=before: audit.newest(tx, wanted, before=last, most=_AT_ONCE)  # type: ignore[misc]
            )
            yield from found
            if len(found) < _AT_ONCE:
                return
            before = found[-1].id


def differences(entry: Entry) -> list[Difference]:
    """Return what differs between before and after; of what was made or removed, all of it."""
    before, after = _parsed(entry.before), _parsed(entry.after)
    old = before if isinstance(before, dict) else {}
    new = after if isinstance(after, dict) else {}
    names = [*old, *(name for name in new if name not in old)]
    found = [Difference(name, _shown(old, name), _shown(new, name)) for name in names]
    return [each for each in found if each.before != each.after]


def _read(request: Request) -> tuple[dict[str, str], Wanted]:
    """Return what the query asks for. Raises `Missing` for who may see one app only."""
    query = request.query_params
    chosen = {name: query[name].strip()[:300] for name in _NAMES if query.get(name, "").strip()}
    person = visitor_of(request).person
    if "app" not in chosen and not person.may(Scope.ADMIN):
        raise Missing(person, Scope.ADMIN, own=["one app, as ?app=NAME does"])
    days = {name: _day(chosen[name]) for name in ("since", "until") if name in chosen}
    until = days.get("until")
    named = {name: chosen.get(name) for name in ("app", "subject", "actor", "action")}
    return chosen, Wanted(
        **named,
        since=days.get("since"),
        until=None if until is None else until + timedelta(days=1),
    )


def _day(text: str) -> datetime | None:
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        return None


def _older(tx: Tx, wanted: Wanted, before: int | None, most: int) -> Page[Entry]:
    found = audit.newest(tx, wanted, before=before, most=most + 1)
    return Page(found[:most], found[most - 1].id if len(found) > most else None)


def _newer(tx: Tx, wanted: Wanted, after: int, most: int) -> Page[Entry]:
    found = audit.newer(tx, wanted, after=after, most=most + 1)
    rows = found[-most:]
    return Page(rows, rows[0].id if len(found) > most else None)


def _parsed(text: str | None) -> Any:
    return None if text is None else json.loads(text)


def _shown(facts: dict[str, Any], name: str) -> str | None:
    value = facts.get(name)
    if value is None or value in ("", []):
        return None
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return ", ".join(value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
