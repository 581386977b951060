"""A letter as a Slack message, within Slack's limits."""

from collections.abc import Sequence
from typing import Any

from barbeque_py.letter_forms import colour_of
from barbeque_py.letters import Fact, Letter, clean
from barbeque_py.notices import Event, Notice

_SECTION, _FIELD, _HEADLINE, _BUTTON, _FALLBACK = 3000, 2000, 3000, 75, 300
_FIELDS = 10
_FENCE = "```"
_ENTITY = 6
"""Characters from an entity's & to what follows its semicolon."""


def as_message(letter: Letter, notice: Notice) -> dict[str, Any]:
    """Return the message's `text` and `attachments`: a coloured bar with blocks and buttons.

    The notice's id is the `block_id` of the first block, whichever way the message goes.
    """
    occasion = notice.occasion
    headline = f"{occasion.mention} *{escape(letter.subject)}*".strip()
    blocks = [_section("\n".join(map(escape, letter.sentences)))] if letter.sentences else []
    if letter.facts:
        blocks.append(_facts(letter.facts))
    if letter.lines:
        note = f" ({letter.lines_note})" if letter.lines_note else ""
        blocks.append(_section(_fenced(f"*{escape(letter.lines_title + note)}*", letter.lines)))
    if letter.links:
        blocks.append(_buttons(letter, occasion.event))
    blocks[0]["block_id"] = notice.id
    fallback = _cut(escape(clean(letter.subject)), _FALLBACK)
    bar = {"color": colour_of(occasion.event), "blocks": blocks, "fallback": fallback}
    return {"text": headline[:_HEADLINE], "attachments": [bar]}


def escape(text: str) -> str:
    """Return the text so that Slack shows it as it is: no mention, no link, no fence of code."""
    shown = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return shown.replace(_FENCE, "`\u200b`\u200b`")


def _section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": _words(text, _SECTION)}


def _words(text: str, most: int) -> dict[str, Any]:
    return {"type": "mrkdwn", "text": _cut(text, most), "verbatim": True}


def _cut(text: str, most: int) -> str:
    """Cut the escaped text, but never within an entity."""
    if len(text) <= most:
        return text
    kept = text[: most - 1]
    entity = kept.rfind("&", most - _ENTITY)
    return (kept if entity < 0 or ";" in kept[entity:] else kept[:entity]) + "…"


def _facts(facts: Sequence[Fact]) -> dict[str, Any]:
    fields = [_words(f"*{escape(label)}*\n{escape(value)}", _FIELD) for label, value in facts]
    return {"type": "section", "fields": fields[:_FIELDS]}


def _fenced(title: str, lines: Sequence[str]) -> str:
    """Return the newest lines that fit between fences, which none of them can end."""
    room = _SECTION - len(title) - 2 * len(_FENCE) - 3
    kept: list[str] = []
    for line in reversed(lines):
        shown = escape(line)
        if len(shown) + 1 > room:
            break
        kept.insert(0, shown)
        room -= len(shown) + 1
    return f"{title}\n{_FENCE}\n" + "\n".join(kept) + f"\n{_FENCE}"


def _buttons(letter: Letter, event: Event) -> dict[str, Any]:
    elements: list[dict[str, Any]] = [
        {
            "type": "button",
            "text": {"type": "plain_text", "text": link.label[:_BUTTON]},
            "url": link.url,
        }
        for link in letter.links
    ]
    if event is Event.FAILED:
        elements[0]["style"] = "danger"
    return {"type": "actions", "elements": elements}
