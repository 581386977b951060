"""What a form sends: its fields, read once, within limits."""

from collections.abc import Mapping
from typing import Annotated
from urllib.parse import parse_qsl

from fastapi import Depends, Request
from starlette.exceptions import HTTPException

from barbeque_console.tongue import gettext

_MOST = 2 * 1024 * 1024
_FIELDS = 1_000


async def read_form(request: Request) -> Mapping[str, str]:
    """Return the form's fields; of one that is sent more than once the last counts."""
    known: Mapping[str, str] | None = getattr(request.state, "form", None)
    if known is None:
        known = request.state.form = await _read(request)
    return known


async def _read(request: Request) -> Mapping[str, str]:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MOST:
            raise HTTPException(413, "This form is too large.")
    try:
        text = body.decode()
        return dict(parse_qsl(text, keep_blank_values=True, max_num_fields=_FIELDS))
    except ValueError:
        raise HTTPException(400, "This form can't be read.") from None


Form = Annotated[Mapping[str, str], Depends(read_form)]
"""The type of an endpoint's parameter that is the form's fields."""


def require_typed(form: Mapping[str, str], name: str) -> None:
    """Refuse unless the person has typed the name of what is in danger."""
    if form.get("typed", "").strip() != name:
        sentence = gettext("Nothing was changed: type “%s” to go on.")
        raise HTTPException(422, sentence % name)
