"""Files of settings: `KEY=VALUE` lines, as `--env-file` takes them."""

import re
from pathlib import Path

from barbeque_py.errors import ConfigurationError

_NAME = re.compile(r"(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*)", re.ASCII)
_SINGLE = re.compile(r"'([^']*)'\s*(?:#.*)?")
_DOUBLE = re.compile(r'"((?:[^"\\]|\\.)*)"\s*(?:#.*)?')
_COMMENT = re.compile(r"(?:^|\s)#.*")
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r"}


def read_env_file(path: Path) -> dict[str, str]:
    r"""Return the file's variables.

    Blank lines and lines that begin with `#` are skipped, `export` before a name is allowed. A bare
    value ends before ` #`; one in single quotes is taken as it is; in double quotes `\n`, `\t`,
    `\"` and `\\` stand for what they do in Python. Raises `ConfigurationError` naming file and
    line, never the value: it may be a secret.
    """
    found: dict[str, str] = {}
    for number, line in enumerate(_lines(path), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        where = f"{path}, line {number}"
        name, value = _assignment(line.strip(), where)
        if name in found:
            raise ConfigurationError(f"{where}: {name} is set a second time; keep one of the lines")
        found[name] = value
    return found


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError:
        raise ConfigurationError(f"{path} is not UTF-8 text; save it as UTF-8") from None
    except OSError as error:
        raise ConfigurationError(f"{path} can't be read: {error.strerror}") from None


def _assignment(line: str, where: str) -> tuple[str, str]:
    form = _NAME.fullmatch(line)
    if form is None:
        raise ConfigurationError(f"{where} is not NAME=VALUE; comments begin with #")
    name, value = form.groups()
    if value[:1] not in ("'", '"'):
        return name, _COMMENT.sub("", value).rstrip()
    quoted = (_SINGLE if value[0] == "'" else _DOUBLE).fullmatch(value)
    if quoted is None:
        raise ConfigurationError(f"{where}: the value of {name} has no closing quote at its end")
    text = quoted[1]
    return name, text if value[0] == "'" else _unescape(text)


def _unescape(text: str) -> str:
    return re.sub(r"\\(.)", lambda found: _ESCAPED.get(found[1], found[1]), text)
