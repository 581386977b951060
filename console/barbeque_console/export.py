"""What a list shows as a file: CSV for spreadsheets, JSON for programs, read while it is sent."""

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl

from fastapi import Request
from starlette.exceptions import HTTPException
from starlette.responses import Response, StreamingResponse

from barbeque_console.conditions import Misread, from_query
from barbeque_console.pages import Pages
from barbeque_console.parts import Shown
from barbeque_console.rights import Router, asker, chosen_app, needs
from barbeque_console.spreadsheets import write_line
from barbeque_py import clock
from barbeque_py.identity import Scope
from barbeque_py.ids import attempt_id
from barbeque_py.store import Tx, attempts, lists
from barbeque_py.store.attempts import Attempt
from barbeque_py.store.entries import Entry
from barbeque_py.store.filters import Filter

MOST = 100_000
"""Executions in one file."""

COLUMNS = (
    *("message_id", "app", "job", "queue", "state", "reason", "exit_code", "attempts", "user_id"),
    *("sent_at", "started_at", "finished_at", "seconds", "note"),
)

Fact = str | int | float | None


class ExportPages:
    """Hands out lists as files."""

    def __init__(self, parts: Shown, pages: Pages) -> None:
        del pages
        self._store = parts.store

    def router(self) -> Router:
        """Return the routes."""
        router = Router()
        listed = needs(Scope.READ, of=chosen_app)
        router.add_api_route("/executions/export.csv", self.as_csv, methods=["GET"], **listed)
        router.add_api_route("/executions/export.json", self.as_json, methods=["GET"], **listed)
        return router

    def as_csv(self, request: Request) -> Response:
        """Answer with a line for each execution that the list's address means."""
        rows = self._rows(request)

        def write() -> Iterator[str]:
            yield write_line(COLUMNS)
            for row in rows:
                yield write_line(row[name] for name in COLUMNS)

        return _file(write(), "executions.csv", "text/csv; charset=utf-8")

    def as_json(self, request: Request) -> Response:
        """Answer with an array of what the list's address means."""
        rows = self._rows(request)

        def write() -> Iterator[str]:
            mark = "["
            for row in rows:
                yield f"{mark}\n{json.dumps(row, ensure_ascii=False)}"
                mark = ","
            yield "[]\n" if mark == "[" else "\n]\n"

        return _file(write(), "executions.json", "application/json")

    def _rows(self, request: Request) -> Iterator[dict[str, Fact]]:
        """Read page after page, each in a transaction of its own."""
        conditions = from_query(parse_qsl(request.url.query))
        try:
            now, only = self._store.read(lambda tx: tx.now), asker(request).app
            wanted = conditions.filter(now, app=only)
        except Misread as error:
            raise HTTPException(400, str(error)) from None

        def read() -> Iterator[dict[str, Fact]]:
            before: int | None = None
            left = MOST
            while left:
                rows, before = self._store.read(_page(wanted, before, min(lists.MOST, left)))
                yield from rows
                left -= len(rows)
                if before is None:
                    return

        return read()


def _page(wanted: Filter, before: int | None, most: int) -> Any:
    def read(tx: Tx) -> tuple[list[dict[str, Fact]], int | None]:
        page = lists.newest(tx, wanted, before=before, most=most)
        ids = {each.id: attempt_id(each.message_id, each.attempts) for each in page.rows}
        last = attempts.known(tx, list(ids.values()))
        return [_facts(each, last.get(ids[each.id])) for each in page.rows], page.next

    return read


def _facts(entry: Entry, last: Attempt | None) -> dict[str, Fact]:
    started = last.started_at if last else None
    finished = last.finished_at if last else None
    instants = {name: getattr(entry, name) for name in ("sent_at", "started_at", "finished_at")}
    told: dict[str, Fact] = {name: getattr(entry, name) for name in COLUMNS if hasattr(entry, name)}
    told |= {name: at and clock.rfc3339(at) for name, at in instants.items()}
    told["exit_code"] = last.exit_code if last else None
    told["seconds"] = (finished - started).total_seconds() if started and finished else None
    return {name: told[name] for name in COLUMNS}


def _file(chunks: Iterator[str], name: str, kind: str) -> Response:
    disposition = {"content-disposition": f'attachment; filename="{name}"'}
    return StreamingResponse(chunks, media_type=kind, headers=disposition)
