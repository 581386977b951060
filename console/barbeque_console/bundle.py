"""All there is of one execution as one file: what is known of it, its message, every log."""

import io
import json
from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime
from typing import Any, cast
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

from fastapi import Request
from starlette.responses import Response, StreamingResponse

from barbeque_console import rights
from barbeque_console.executions import Known, find
from barbeque_console.logs import AttemptLogs
from barbeque_console.pages import Pages
from barbeque_console.parts import Shown
from barbeque_console.rights import Router, needs
from barbeque_py import clock
from barbeque_py.addresses import hide
from barbeque_py.attempt_log import prefix_of
from barbeque_py.errors import NoSuchLog, OutsideError
from barbeque_py.identity import Scope
from barbeque_py.logs import LOG
from barbeque_py.store.attempts import Attempt
from barbeque_py.store.notices import Kept

_READ = 1024 * 1024
_NOT_OURS = ("request", "scopes", "owner", "epoch", "lease_until", "act_at", "checked_at")
"""Of an attempt's row, what the machinery alone needs."""


class BundlePages:
    """Hands out bundles."""

    def __init__(self, parts: Shown, pages: Pages) -> None:
        del pages
        self._parts = parts
        self._logs = AttemptLogs(parts)

    def router(self) -> Router:
        """Return the route: a bundle has logs in it."""
        router = Router()
        router.add_api_route(
            "/job_executions/{message_id}/bundle.zip",
            self.download,
            methods=["GET"],
            **needs(Scope.LOGS, of=rights.execution),
        )
        return router

    def download(self, request: Request, message_id: str) -> Response:
        """Answer with the bundle, made while it is sent."""
        del request
        known = self._parts.store.read(lambda tx: find(tx, message_id))
        name = f"{known.execution.message_id}.zip"
        disposition = {"content-disposition": f'attachment; filename="{name}"'}
        return StreamingResponse(
            self._chunks(known), media_type="application/zip", headers=disposition
        )

    def _chunks(self, known: Known) -> Iterator[bytes]:
        pipe = _Pipe()
        with ZipFile(cast("io.BufferedIOBase", pipe), "w", ZIP_DEFLATED) as made:
            made.writestr("execution.json", json.dumps(facts_of(known), indent=2, default=str))
            for name, packed, chunks in self._members(known):
                yield from _copy(made, pipe, name, chunks, packed=packed)
        yield pipe.take()

    def _members(self, known: Known) -> Iterator[tuple[str, bool, Iterator[bytes]]]:
        """Yield each file: its name, whether it is packed already, and what is in it."""
        if known.execution.message is not None:
            yield "message.json", False, iter([known.execution.message.encode()])
        elif known.execution.message_key is not None:
            yield "message.json", False, self._stored(known.execution.message_key)
        for each in known.attempts:
            if each.log_sealed_at is None:
                written = self._logs.reader.chunks(known.execution, each)
                yield f"logs/{each.number}.log", False, _as_far_as_there(written)
            else:
                key = prefix_of(known.execution, each) + LOG
                yield f"logs/{each.number}.log.gz", True, self._stored(key)

    def _stored(self, key: str) -> Iterator[bytes]:
        def read() -> Iterator[bytes]:
            start = 0
            while chunk := self._parts.logs.read(key, start, _READ):
                yield chunk
                start += len(chunk)

        return _as_far_as_there(read())


class _Pipe:
    """Takes what a zip file writes, until it is sent on."""

    def __init__(self) -> None:
        self._held = bytearray()

    def write(self, data: bytes) -> int:
        self._held += data
        return len(data)

    def flush(self) -> None:
        """Nothing is kept back."""

    def take(self) -> bytes:
        taken = bytes(self._held)
        self._held.clear()
        return taken


def _copy(
    made: ZipFile, pipe: _Pipe, name: str, chunks: Iterator[bytes], *, packed: bool
) -> Iterator[bytes]:
    member = ZipInfo(name)
    member.compress_type = ZIP_STORED if packed else ZIP_DEFLATED
    with made.open(member, "w", force_zip64=True) as file:
        for chunk in chunks:
            file.write(chunk)
            yield pipe.take()


def _as_far_as_there(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield them all; what is not kept any more, or can't be read now, ends the file."""
    try:
        yield from chunks
    except (NoSuchLog, OutsideError):
        return


def facts_of(known: Known) -> dict[str, Any]:
    """Return what is known of the execution, as JSON takes it; nothing that is secret."""
    execution = _written(asdict(known.execution))
    del execution["message"]
    return {
        "execution": execution,
        "attempts": list(map(_attempt, known.attempts)),
        "notices": list(map(_notice, known.notices)),
        "done_by_people": [
            {"at": clock.rfc3339(each.at), "actor": each.actor, "action": each.action}
            for each in known.done
        ],
    }


def _attempt(attempt: Attempt) -> dict[str, Any]:
    facts = asdict(attempt)
    return _written({name: each for name, each in facts.items() if name not in _NOT_OURS})


def _notice(notice: Kept) -> dict[str, Any]:
    return {
        "event": notice.event,
        "channel": notice.channel,
        "target": hide(notice.target),
        "state": notice.state,
        "reason": notice.reason,
        "tries": notice.tries,
        "made_at": clock.rfc3339(notice.made_at),
        "done_at": None if notice.done_at is None else clock.rfc3339(notice.done_at),
    }


def _written(facts: dict[str, Any]) -> dict[str, Any]:
    return {
        name: clock.rfc3339(each) if isinstance(each, datetime) else each
        for name, each in facts.items()
    }
