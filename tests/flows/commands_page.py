"""Writes docs/commands.md from the commands: python -m tests.flows.commands_page > FILE."""

import sys
from collections.abc import Iterator
from typing import Any

import typer

from barbeque_py.cli.exits import LEGEND
from barbeque_py.cli.root import app

_HEAD = """# Commands

What `barbeque` can do, as `barbeque COMMAND --help` says it. This page is written from the
commands: `python -m tests.flows.commands_page > docs/commands.md`.

Commands under "Run it" use [settings](configuration.md); all others speak HTTP to `BARBEQUE_URL`,
by default `http://127.0.0.1:3003`. `--env-file FILE`, before the command, reads settings from a
file.

## Exit codes

| code | meaning |
|---|---|
"""


def page() -> str:
    """Return the page."""
    root: Any = typer.main.get_command(app)
    lines = [_HEAD + "\n".join(_codes())]
    panel = ""
    for name, command in root.commands.items():
        if command.rich_help_panel != panel:
            panel = command.rich_help_panel
            lines.append(f"## {panel}")
        lines += _sections(name, command)
    return "\n\n".join(lines) + "\n"


def _sections(name: str, command: Any) -> list[str]:
    """Return a command's section, and those of its own commands."""
    lines = _section(name, command)
    for part, verb in getattr(command, "commands", {}).items():
        lines += _sections(f"{name} {part}", verb)
    return lines


def _codes() -> Iterator[str]:
    for each in LEGEND.removeprefix("Exit codes: ").rstrip(".").split("; "):
        code, _, meaning = each.partition(" ")
        yield f"| {code} | {meaning} |"


def _section(name: str, command: Any) -> list[str]:
    shown = [each for each in command.params if not getattr(each, "hidden", False)]
    words = " ".join(_usage(each) for each in shown)
    lines = [f"### barbeque {name}", f"`barbeque {name} {words}".rstrip() + "`"]
    lines.append(_escape(command.help))
    rows = [f"| `{_names(each)}` | {_meaning(each)} |" for each in shown]
    if rows:
        lines.append("\n".join(["| | |", "|---|---|", *rows]))
    return lines


def _usage(each: Any) -> str:
    words = _names(each)
    return words if each.required else f"[{words.strip('[]')}]"


def _names(each: Any) -> str:
    if each.param_type_name == "argument":
        return str(each.metavar or each.name.upper())
    value = "" if each.is_flag else f" {each.metavar or each.name.upper()}"
    return ", ".join(sorted(each.opts, key=len)) + value


def _meaning(each: Any) -> str:
    stated = [each.help or ""]
    if each.default is not None and not each.required and not getattr(each, "is_flag", False):
        stated.append(f"Default: {each.default}.")
    return _escape(" ".join(stated).strip())


def _escape(text: str) -> str:
    return text.replace("<", "&lt;").replace("|", "\\|")


if __name__ == "__main__":
    sys.stdout.write(page())
