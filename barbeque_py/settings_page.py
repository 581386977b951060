"""The settings as people are shown them: a row each, and docs/configuration.md of all of them.

`python -m barbeque_py.settings_page` prints the page.
"""

import sys
from dataclasses import dataclass

from barbeque_py.setting_variables import FORMER
from barbeque_py.settings import VARIABLES, Settings

_PAGE = """# Configuration

Everything is set by environment variables. None is needed: unset (or empty) ones have the default
of a laptop. `--env-file FILE` reads more of them from a file; what the environment has wins.
`barbeque check` shows the settings in force, without secrets.

| variable | default | meaning | example |
|---|---|---|---|
{rows}

**Switches** are on with `1`, `true` or `yes`, off with `0`, `false`, `no` or nothing.
**Durations** have a unit, `ms`, `s`, `m`, `h` or `d`, and may have a fraction (`1.5h`); a bare
number is seconds. **Sizes** are bytes, or have `KiB` or `MiB`. In a **database URL** write
characters such as `@ : / # ? %` of the password percent-encoded (`@` is `%40`).

A value that can't be read stops the start with a sentence that names variable and cure. A
`BARBEQUE_` variable that is no setting is only warned about, with the name that was likely meant.

## Files of settings

One `NAME=VALUE` a line; `export` before the name is allowed, blank lines and lines that begin with
`#` are skipped. A bare value ends before a space and `#`; in single quotes all stands for itself;
in double quotes `\\n`, `\\t`, `\\"` and `\\\\` may be used. A name stands once in a file.

## AWS

Credentials, endpoints and the rest of AWS's own variables (`AWS_PROFILE`, `AWS_ACCESS_KEY_ID`,
`AWS_ENDPOINT_URL` and so on) are found as every AWS program finds them: in the environment, in
`~/.aws`, or by the role of the machine. Only the Region can also stand in a file of settings.

## Coming from Barbeque

| its variable | now |
|---|---|
{former}
"""


@dataclass(frozen=True, slots=True)
class Row:
    """One setting as people are shown it; the value is None when nothing was read."""

    variable: str
    default: str
    meaning: str
    example: str
    value: str | None = None


def describe(settings: Settings | None = None) -> list[Row]:
    """Return every setting for people, with the values of `settings` where given, no secret."""
    shown = dict(settings.shown) if settings is not None else {}
    return [
        Row(
            each.name,
            each.default.replace("{home}", "<BARBEQUE_HOME>"),
            each.meaning,
            each.example,
            shown.get(each.name),
        )
        for each in VARIABLES.values()
    ]


def configuration_page() -> str:
    """Return the page."""
    rows = [
        f"| `{row.variable}` | {f'`{row.default}`' if row.default else 'not set'} "
        f"| {row.meaning} | `{row.example}` |"
        for row in describe()
    ]
    former = [f"| `{name}` | {cure} |" for name, cure in sorted(FORMER.items())]
    return _PAGE.format(rows="\n".join(rows), former="\n".join(former))


if __name__ == "__main__":
    sys.stdout.write(configuration_page())
