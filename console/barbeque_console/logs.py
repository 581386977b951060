"""An attempt's log: the page of it, any stretch of it, and all of it as a file."""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import Annotated

from fastapi import Depends, Query, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse

from barbeque_console import rights
from barbeque_console.log_lines import LogAddress, clean, draw_rows, is_binary
from barbeque_console.log_times import read_instant
from barbeque_console.pages import Pages
from barbeque_console.parts import Shown
from barbeque_console.rights import Router, needs
from barbeque_py.attempt_log import LogReader, prefix_of
from barbeque_py.errors import BadPattern, UnknownExecution
from barbeque_py.executions import AttemptState
from barbeque_py.identity import Scope
from barbeque_py.log_marks import Marks
from barbeque_py.log_reading import Log
from barbeque_py.log_search import MOST_HITS, Pattern, search
from barbeque_py.log_search import Query as Wanted
from barbeque_py.logs import LOG, Page, split_line
from barbeque_py.store import Tx, attempts
from barbeque_py.store import executions as rows
from barbeque_py.store.attempts import Attempt
from barbeque_py.store.executions import Execution

log = logging.getLogger("barbeque.console")

MOST_LINES = 1_000
"""In one answer."""
MOST_COPIED = 10_000
STREAMS = ("out", "err")

_LONGEST_LINE = 16 * 1024 * 1024
_HEX = 4096
_MOST_NUMBER = 1 << 53
_READ = 4 * 1024 * 1024
_KEPT = "private, max-age=3600"
"""What of a sealed log a browser may keep: it never changes."""

Number = Annotated[int, Query(ge=0, le=_MOST_NUMBER)]
Counted = Annotated[int, Query(ge=1, le=_MOST_NUMBER)]


@dataclass(frozen=True, slots=True)
class Sought:
    """What a query looks for in the lines."""

    q: str = ""
    regex: bool = False
    case: bool = False
    stream: str = ""

    @property
    def anything(self) -> bool:
        """Whether not simply every line is meant."""
        return bool(self.q) or self.stream in STREAMS

    def pattern(self) -> Pattern | None:
        """Return it made ready, None for all lines; raises `BadPattern`."""
        stream = self.stream if self.stream in STREAMS else None
        return Pattern(Wanted(self.q, self.regex, self.case, stream)) if self.anything else None


def read_sought(request: Request) -> Sought:
    """Return what the query looks for; what stands empty in it is not there."""
    query = request.query_params
    return Sought(
        q=query.get("q", ""),
        regex=bool(query.get("regex")),
        case=bool(query.get("case")),
        stream=query.get("stream", ""),
    )


Asked = Annotated[Sought, Depends(read_sought)]


def is_live(attempt: Attempt) -> bool:
    """Tell whether the attempt's log may still grow."""
    return attempt.state is not AttemptState.ENDED or attempt.log_sealed_at is None


def address_of(request: Request, execution: Execution, attempt: Attempt) -> LogAddress:
    """Return where the attempt's log is shown, under the prefix of this console."""
    root = request.scope.get("root_path", "").rstrip("/")
    return LogAddress(f"{root}/job_executions/{execution.message_id}/log", attempt.number)


class AttemptLogs:
    """Finds the log that a request means; parts of the console share one, and what it keeps."""

    def __init__(self, parts: Shown) -> None:
        self._parts = parts
        self.reader = LogReader(parts.store, parts.logs, parts.watching)

    def find(self, message_id: str, attempt: int) -> tuple[Execution, Attempt]:
        """Return the attempt; raises `UnknownExecution`."""

        def look(tx: Tx) -> tuple[Execution, Attempt]:
            execution = rows.by_message_id(tx, message_id)
            known = [] if execution is None else attempts.of_execution(tx, execution.id)
            chosen = next((each for each in known if each.number == attempt), None)
            if execution is None or chosen is None:
                raise UnknownExecution("There is no such attempt.")
            return execution, chosen

        return self._parts.store.read(look)

    @contextmanager
    def opened(self, message_id: str, attempt: int) -> Iterator[tuple[Execution, Attempt, Log]]:
        """Hand out the attempt and its log, an empty one while nobody writes it yet."""
        execution, chosen = self.find(message_id, attempt)
        with self.reader.opened(execution, chosen) as found:
            empty = Log(self._parts.logs, prefix_of(execution, chosen))
            yield execution, chosen, found or empty


class LogRoutes:
    """Hands out stretches of logs to the page that shows them, and logs as files."""

    def __init__(self, parts: Shown, pages: Pages) -> None:
        del pages
        self._parts = parts
        self._logs = AttemptLogs(parts)

    def router(self) -> Router:
        """Return the routes."""
        router = Router(prefix="/job_executions/{message_id}")
        reading = needs(Scope.LOGS, of=rights.execution)
        for path, answer in (
            ("/log/lines", self.show_lines),
            ("/log/marks", self.show_marks),
            ("/log/search", self.search),
            ("/log/at", self.find_time),
            ("/log/line", self.show_line),
            ("/log/text", self.show_text),
            ("/log.txt", self.download),
            ("/log.gz", self.download_stored),
        ):
            router.add_api_route(path, answer, methods=["GET"], **reading)
        return router

    def show_lines(
        self,
        request: Request,
        message_id: str,
        sought: Asked,
        attempt: Counted,
        first: Annotated[int, Query(ge=-MOST_LINES, le=_MOST_NUMBER)] = 0,
        count: Annotated[int, Query(ge=1, le=MOST_LINES)] = 200,
    ) -> Response:
        """Answer with the rows of lines from number `first` (from 0) on; below 0 from the end."""
        pattern = sought.pattern()
        with self._logs.opened(message_id, attempt) as (execution, chosen, found):
            page = found.page(first, count, None)
            facts = {
                "first": page.lines[0].number if page.lines else page.next,
                "next": page.next,
                "total": page.total,
                "live": is_live(chosen),
                "html": draw_rows(
                    page.lines, address_of(request, execution, chosen), pattern=pattern
                ),
            }
        kept = page.sealed and first >= 0 and len(page.lines) == count
        return JSONResponse(facts, headers={"cache-control": _KEPT} if kept else None)

    def show_marks(self, message_id: str, attempt: Counted) -> Response:
        """Answer with where errors and groups are."""
        with self._logs.opened(message_id, attempt) as (_, chosen, found):
            marks = found.marks()
        kept = {} if is_live(chosen) else {"cache-control": _KEPT}
        return JSONResponse(_facts_of(marks), headers=kept)

    def search(
        self,
        request: Request,
        message_id: str,
        sought: Asked,
        attempt: Counted,
        first: Number = 0,
        rows: Annotated[int, Query(ge=0, le=MOST_LINES)] = 0,
    ) -> Response:
        """Stream the numbers of the lines that match, as lines of JSON, as they are found.

        With `rows` at most so many, each with its row.
        """
        try:
            pattern = sought.pattern()
        except BadPattern as error:
            return PlainTextResponse(str(error), 400)
        if pattern is None:
            return PlainTextResponse("there is nothing to look for", 400)
        execution, chosen = self._logs.find(message_id, attempt)
        address = address_of(request, execution, chosen)

        def answer() -> Iterator[bytes]:
            with self._logs.opened(message_id, attempt) as (_, _, found):
                most = rows or MOST_HITS
                parts = search(found, pattern, first=first, most=most, with_lines=rows > 0)
                for each in parts:
                    facts = {"hits": each.hits, "next": each.next, "full": each.full}
                    if rows:
                        facts["html"] = draw_rows(each.lines, address, pattern=pattern)
                    yield json.dumps(facts, separators=(",", ":")).encode() + b"\n"
            yield b'{"done":true}\n'

        return StreamingResponse(answer(), media_type="application/x-ndjson")

    def find_time(self, message_id: str, attempt: Counted, time: str = "") -> Response:
        """Answer with the first line at a time, as people write times; none where it is none."""
        with self._logs.opened(message_id, attempt) as (_, _, found):
            instant = read_instant(time, found.times())
            number = None if instant is None else min(found.line_at(instant), found.end() - 1)
        return JSONResponse({"line": number})

    def show_line(self, message_id: str, attempt: Counted, line: Counted = 1) -> Response:
        """Show all that one line says, to where the job ended it; what is no text as hex."""
        parts: list[bytes] = []
        with self._logs.opened(message_id, attempt) as (_, _, found):
            for number in range(line - 1, line + _LONGEST_LINE // (64 * 1024)):
                stretch = found.stretch(number, 1).lines
                if not stretch:
                    break
                _, stream, text = split_line(stretch[0])
                parts.append(text)
                if not stream.endswith(b"+"):
                    break
        if not parts:
            raise UnknownExecution("The log has no such line.")
        whole = b"".join(parts)
        readable = whole.decode(errors="replace")
        return PlainTextResponse(_hex(whole) if is_binary(readable) else readable)

    def show_text(
        self,
        message_id: str,
        attempt: Counted,
        first: Number = 0,
        count: Annotated[int, Query(ge=1, le=MOST_COPIED)] = 1,
    ) -> Response:
        """Show some lines as people copy them: without numbers, times and colours."""
        with self._logs.opened(message_id, attempt) as (_, _, found):
            page: Page = found.page(first, count, None)
        return PlainTextResponse("".join(clean(line.text) + "\n" for line in page.lines))

    def download(self, message_id: str, attempt: Counted, stream: str = "") -> Response:
        """Answer with all that the attempt wrote, or to one stream, as it wrote it."""
        execution, chosen = self._logs.find(message_id, attempt)
        one = stream if stream in STREAMS else None
        chunks = _begun(self._logs.reader.chunks(execution, chosen, stream=one))
        name = f"{execution.message_id}-{chosen.number}.log"
        return _file(chunks, name, "text/plain; charset=utf-8")

    def download_stored(self, message_id: str, attempt: Counted) -> Response:
        """Answer with the log as it is stored: gzip, each line with its time and stream."""
        execution, chosen = self._logs.find(message_id, attempt)
        if chosen.log_sealed_at is None:
            raise UnknownExecution("This log is not stored yet: its attempt has not ended.")
        key = prefix_of(execution, chosen) + LOG

        def read() -> Iterator[bytes]:
            start = 0
            while chunk := self._parts.logs.read(key, start, _READ):
                yield chunk
                start += len(chunk)

        name = f"{execution.message_id}-{chosen.number}.log.gz"
        return _file(_begun(read()), name, "application/gzip")


def _facts_of(marks: Marks) -> dict[str, object]:
    groups = [
        [each.line, each.end, each.name, each.at, each.end_at, each.folded] for each in marks.groups
    ]
    return {
        "errors": marks.errors,
        "error_lines": marks.error_lines,
        "groups": groups,
        "whole": marks.whole,
    }


def _hex(data: bytes) -> str:
    shown = data[:_HEX]
    lines = [f"{len(data):,} bytes of binary data\n"]
    for start in range(0, len(shown), 16):
        part = shown[start : start + 16]
        letters = "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in part)  # noqa: PLR2004
        lines.append(f"{start:08x}  {part.hex(' '):47}  {letters}\n")
    return "".join(lines)


def _file(chunks: Iterator[bytes], name: str, kind: str) -> Response:
    disposition = {"content-disposition": f'attachment; filename="{name}"'}
    return StreamingResponse(chunks, media_type=kind, headers=disposition)


def _begun(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Read the first chunk at once, so that a log store that is away is told as an error."""
    return chain([next(chunks, b"")], chunks)
