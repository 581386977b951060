"""How a command ends: its exit code, and one line about what went wrong."""

import os
import sys
from enum import IntEnum

import typer

from barbeque_py.errors import (
    BarbequeError,
    ConfigurationError,
    OutsideError,
    UnknownApp,
    UnknownExecution,
    UnknownJob,
    UnknownQueue,
    UnknownToken,
)


class Code(IntEnum):
    """The exit codes; the epilog of `barbeque --help` lists them."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    UNREACHABLE = 3
    NOT_FOUND = 4
    DIFFERS = 5
    INTERRUPTED = 130


LEGEND = (
    "Exit codes: 0 it is done (and, where it was waited for, the job succeeded); "
    "1 the job did not succeed, the server refused, or check found a fault; "
    "2 the command, its input or a setting is wrong; "
    "3 the server, the database or the engine can't be reached, so trying again may help; "
    "4 there is no such thing; 5 what there is differs from the file; 130 it was interrupted."
)

_BAD_REQUESTS = (400, 413, 422)
_UNKNOWN = (UnknownApp, UnknownExecution, UnknownJob, UnknownQueue, UnknownToken)


class Failure(BarbequeError):
    """The command failed; the message says what, and what to do."""

    def __init__(self, message: str, code: Code = Code.FAILED) -> None:
        super().__init__(message)
        self.code = code


def complain(message: str) -> None:
    """Print one line about what went wrong."""
    _say("error", message)


def warn(message: str) -> None:
    """Print one line about what is odd, but stops nothing."""
    _say("warning", message)


def _say(kind: str, message: str) -> None:
    line = " ".join(message.split())
    sys.stderr.write(f"{kind}: {plain(line)}\n")
    sys.stderr.flush()


def plain(text: str) -> str:
    """Return the text without what would steer a terminal."""
    return "".join(
        letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text
    )


def explain(error: Exception) -> Code | None:
    """Print what went wrong and return the exit code; None, silently, for our own mistakes."""
    code = _code(error)
    if code is not None:
        complain(_sentence(error))
    return code


def _code(error: Exception) -> Code | None:
    match error:
        case Failure():
            return error.code
        case typer.TyperException() | ConfigurationError():
            return Code.USAGE
        case OutsideError():
            return Code.UNREACHABLE
        case BarbequeError():
            return _code_of_refusal(error)
        case _:
            return None


def _code_of_refusal(error: BarbequeError) -> Code:
    status = getattr(error, "status", None)
    if status == 404 or isinstance(error, _UNKNOWN):  # noqa: PLR2004 - HTTP's own number
        return Code.NOT_FOUND
    return Code.USAGE if status in _BAD_REQUESTS else Code.FAILED


def _sentence(error: Exception) -> str:
    if isinstance(error, typer.TyperException):
        said = error.format_message().strip()
        stop = "" if said.endswith((".", "?")) else "."
        return f"{said}{stop} See `{_path(error)} --help`."
    if type(error).__name__ == "Unreachable":  # by name: it must not cost the import of httpx
        return f"{error}: start one with `barbeque up`, or set BARBEQUE_URL"
    return str(error)


def _path(error: typer.TyperException) -> str:
    context = getattr(error, "ctx", None)
    return context.command_path if context is not None else "barbeque"


def quit_quietly() -> None:
    """Keep the interpreter from complaining at its end that nobody reads our output any more."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
