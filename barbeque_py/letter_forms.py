"""A letter as plain text and as a page of HTML, as mail programs show them."""

from html import escape

from barbeque_py.letters import Letter
from barbeque_py.notices import Event

_COLOURS = {
    Event.SUCCEEDED: "#1a7f4b",
    Event.RECOVERED: "#1a7f4b",
    Event.FAILED: "#c0392b",
    Event.ATTEMPT_FAILED: "#b7791f",
    Event.LATE: "#b7791f",
    Event.CANCELLED: "#6b7280",
    Event.TEST: "#2563eb",
}


def colour_of(event: Event) -> str:
    """Return the colour that stands for the event, as `#rrggbb`."""
    return _COLOURS[event]


def as_text(letter: Letter) -> str:
    """Return the letter as plain text."""
    parts = [letter.subject, "\n".join(letter.sentences)]
    parts.append("\n".join(f"{fact.label}: {fact.value}" for fact in letter.facts))
    if letter.lines or letter.lines_note:
        note = f" ({letter.lines_note})" if letter.lines_note else ""
        lines = [f"{letter.lines_title}{note}:", *[f"    {line}" for line in letter.lines]]
        parts.append("\n".join(lines))
    parts.append("\n".join(f"{link.label}: {link.url}" for link in letter.links))
    return "\n\n".join(part for part in parts if part) + "\n"


def as_html(letter: Letter, event: Event, *, locale: str) -> str:
    """Return the letter as a page for mail programs, which know no style sheets of ours."""
    rows = "".join(
        f'<tr><td class="dim" style="{_LABEL}">{escape(fact.label)}</td>'
        f'<td style="{_VALUE}">{escape(fact.value)}</td></tr>'
        for fact in letter.facts
    )
    sentences = "".join(
        f'<p style="{_TEXT}">{escape(each).replace(_NEWLINE, "<br>")}</p>'
        for each in letter.sentences
    )
    links = "".join(
        f'<a class="{"plain" if number else "button"}" href="{escape(link.url)}" '
        f'style="{_LINK if number else _BUTTON}">{escape(link.label)}</a> '
        for number, link in enumerate(letter.links)
    )
    return _PAGE.format(
        locale=escape(locale),
        subject=escape(letter.subject),
        colour=colour_of(event),
        sentences=sentences,
        rows=rows,
        lines=_lines(letter),
        links=f'<p style="margin:20px 0 -8px">{links}</p>' if links else "",
    )


def _lines(letter: Letter) -> str:
    if not letter.lines and not letter.lines_note:
        return ""
    said = escape(letter.lines_note)
    note = f' <span class="dim" style="{_NOTE}">({said})</span>' if said else ""
    title = f'<p style="{_TITLE}">{escape(letter.lines_title)}{note}</p>'
    text = escape("\n".join(letter.lines))
    return title + (f'<pre class="lines" style="{_PRE}">{text}</pre>' if letter.lines else "")


_NEWLINE = "\n"
_TEXT = "margin:0 0 8px;font-size:15px;line-height:1.5;overflow-wrap:anywhere"
_LABEL = (
    "padding:3px 16px 3px 0;font-size:14px;line-height:1.4;color:#5b6472;vertical-align:top;"
    "white-space:nowrap"
)
_VALUE = "padding:3px 0;font-size:14px;line-height:1.4;word-break:break-word;overflow-wrap:anywhere"
_TITLE = "margin:20px 0 6px;font-size:14px;font-weight:600"
_NOTE = "font-weight:400;color:#5b6472"
_PRE = (
    "margin:0;padding:12px;font-size:12px;line-height:1.5;background:#f3f4f6;border-radius:6px;"
    "white-space:pre-wrap;word-break:break-word;overflow-wrap:anywhere;"
    "font-family:ui-monospace,Menlo,Consolas,monospace"
)
_BUTTON = (
    "display:inline-block;margin:0 12px 8px 0;padding:9px 16px;border-radius:6px;font-size:14px;"
    "background:#1f2937;color:#ffffff;text-decoration:none;font-weight:600"
)
_LINK = "display:inline-block;margin:0 12px 8px 0;padding:9px 0;font-size:14px;color:#1d4ed8"

_PAGE = """<!DOCTYPE html>
<html lang="{locale}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark">
<meta name="supported-color-schemes" content="light dark">
<title>{subject}</title>
<style>
@media (prefers-color-scheme: dark) {{
  body, .page {{ background: #14171c !important; color: #e6e8eb !important; }}
  .card {{ background: #1d2127 !important; }}
  .dim, td.dim {{ color: #9aa4b2 !important; }}
  .lines {{ background: #14171c !important; color: #e6e8eb !important; }}
  a.plain {{ color: #8ab4ff !important; }}
  a.button {{ background: #e6e8eb !important; color: #14171c !important; }}
}}
</style>
</head>
<body class="page" style="margin:0;padding:0;background:#eef0f3;color:#1b1f24">
<table role="presentation" class="page" width="100%" cellpadding="0" cellspacing="0" \
style="table-layout:fixed;background:#eef0f3;\
font-family:-apple-system,'Segoe UI',Roboto,'Hiragino Sans',\
'Noto Sans JP',sans-serif">
<tr><td align="center" style="padding:20px 12px">
<table role="presentation" class="card" width="100%" cellpadding="0" cellspacing="0" \
style="table-layout:fixed;max-width:600px;background:#ffffff;border-radius:8px;\
border-top:4px solid {colour};\
text-align:left">
<tr><td style="padding:24px">
<h1 style="margin:0 0 12px;font-size:19px;line-height:1.35;overflow-wrap:anywhere;\
text-wrap:balance">{subject}</h1>
{sentences}
<table role="presentation" cellpadding="0" cellspacing="0" style="margin:12px 0 0">{rows}</table>
{lines}
{links}
</td></tr></table>
</td></tr></table>
</body>
</html>
"""
