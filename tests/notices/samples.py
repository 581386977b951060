"""Notices as tests need them, and texts that mean harm."""

from dataclasses import replace
from typing import Any

from barbeque_py.notices import Audience, Channel, Event, Notice, Occasion

OCCASION = Occasion(
    Event.FAILED,
    "media",
    "Encode",
    "01a21d13-b96f-76ed-a664-026b668e2a00",
    queue="encodes",
    attempt=6,
    attempts=6,
    tries=6,
    reason="exited",
    exit_code=3,
    detail=None,
    enqueued_at="2026-11-27T11:58:00.000000Z",
    started_at="2026-11-27T12:00:00.000000Z",
    finished_at="2026-11-27T12:02:05.500000Z",
    seconds=125.5,
    user_id="u-1",
    lines=("opening /in/video.mp4", "frame 120 of 480", "error: no space left on device"),
    lines_before=1234,
)


def a_notice(
    channel: Channel = Channel.EMAIL, target: str = "ann@example.com", **changes: Any
) -> Notice:
    """Return a notice of a failure; changes of what it tells and of itself go by their names."""
    known = {name: value for name, value in changes.items() if name in Occasion.__slots__}
    notice = Notice(
        "0b8c7c8a-1111-5222-8333-944445555666",
        channel,
        target,
        Audience.ADMINS,
        replace(OCCASION, **known),
    )
    return replace(notice, **{k: v for k, v in changes.items() if k not in known})


_HEADERS = (
    "\r\nBcc: thief@example.net",
    "\nBcc: thief@example.net",
    "\rBcc: thief@example.net",
    "x\r\n\r\n<script>alert(1)</script>",
    "\r\n.\r\nMAIL FROM:<thief@example.net>\r\n",
    "\u2028Bcc: thief@example.net",
    "\u0085Bcc: thief@example.net",
    "\x0bBcc: thief@example.net",
    "\x00hidden",
    "=?utf-8?q?=0D=0ABcc:_thief=40example.net?=",
    "x" * 5000,
    "é" * 1000,
    "\U0001f4a3" * 300,
    "a, thief@example.net",
    '"a" <thief@example.net>',
)
_MARKUP = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "</pre></td><h1>owned</h1>",
    '" style="display:none" x="',
    "'><iframe src=//example.net>",
    "<!--",
    "<style>*{display:none}</style>",
    "&lt;script&gt;",
    "<a href=javascript:alert(1)>x</a>",
    "<meta http-equiv=refresh content=0>",
    "{{ 7*7 }}",
    "{% raw %}",
    "${7*7}",
    "{subject}",
    "%s%n",
)
_MENTIONS = (
    "<!channel>",
    "<!here>",
    "<!everyone>",
    "<@U024BE7LH>",
    "<#C024BE91L>",
    "<!subteam^S012>",
    "<https://example.net|click>",
    "<mailto:a@example.net|mail>",
    "&lt;!channel&gt;",
    "&amp;lt;!channel&amp;gt;",
    "```<!channel>```",
    "`<!channel>`",
    "*bold* _it_ ~no~",
    "> quote\n>>> more",
    ":bomb:",
)
_TERMINALS = (
    "\x1b[31mred\x1b[0m",
    "\x1b]8;;https://example.net\x07link\x1b]8;;\x07",
    "\x1b[2J\x1b[H",
    "\u202etxet desrever",
    "\u2066\u2067isolated",
    "zero\u200bwidth",
    "\ufeffbom",
    "tab\there",
    "\x7f\x80\x9f",
    "a\x08\x08b",
    "line\rover",
    "\u0301" * 300,
    "\ufffd\ufffe",
    "…" * 2000,
    "&" * 4000,
)
HOSTILE = (*_HEADERS, *_MARKUP, *_MENTIONS, *_TERMINALS)
"""Sixty texts that a job may write, or a request may name."""
