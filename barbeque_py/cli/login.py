"""`barbeque login | logout`: where the server is and the token for it, kept for this user."""

import os
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from barbeque_py.cli.exits import Code, Failure
from barbeque_py.cli.options import Json
from barbeque_py.cli.screen import print_json, print_line

_UNAUTHORIZED, _FORBIDDEN = 401, 403


def login(
    url: Annotated[str, typer.Argument(metavar="URL", help="Where the server is.")],
    as_json: Json = False,
) -> None:
    """Keep a server's URL and token for the commands that speak to it.

    The token is asked for, or read from standard input where that is no terminal; an empty one is
    none. Both are kept in a file that only this user can read, after the server has taken them.
    BARBEQUE_URL in the environment or in --env-file makes all of it void, BARBEQUE_TOKEN the token.

    barbeque login https://barbeque.example.com < token.txt
    """
    from barbeque_py.environment import login_file

    text = _read_token()
    address, shown = _checked(url, text)
    path = login_file()
    _write(path, {"BARBEQUE_URL": address} | ({"BARBEQUE_TOKEN": shown} if shown else {}))
    if as_json:
        print_json({"url": address, "file": str(path), "has_token": bool(shown)})
    else:
        print_line(f"commands of this user speak to {address} from now on ({path})")


def logout(as_json: Json = False) -> None:
    """Forget the server's URL and token that `login` kept."""
    from barbeque_py.environment import login_file

    path = login_file()
    there = path.exists()
    path.unlink(missing_ok=True)
    if as_json:
        print_json({"file": str(path), "was_there": there})
    else:
        print_line(f"{path} is gone" if there else "nobody is logged in here")


def _read_token() -> str:
    if sys.stdin.isatty():
        return str(typer.prompt("token", default="", hide_input=True, show_default=False)).strip()
    return sys.stdin.readline().strip()


def _checked(url: str, text: str) -> tuple[str, str | None]:
    """Return both as settings are read, after the server has taken them."""
    from barbeque_py.client import Client, Refused
    from barbeque_py.settings import Settings

    settings = Settings.from_environment({"BARBEQUE_URL": url, "BARBEQUE_TOKEN": text})
    with Client(settings.url, settings.token or "") as client:
        try:
            client.queues()
        except Refused as error:
            if error.status == _UNAUTHORIZED:
                raise Failure(f"{settings.url} refuses this token: {error}") from None
            if error.status != _FORBIDDEN:  # a good token that may not read
                raise
    return settings.url, settings.token


def _write(path: Path, values: dict[str, str]) -> None:
    """Put the file there at once, never readable for anybody else."""
    text = "".join(f"{name}='{value}'\n" for name, value in values.items())
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, unfinished = tempfile.mkstemp(dir=path.parent)  # 0600 from the first byte on
        with os.fdopen(handle, "w") as file:
            file.write(text)
        Path(unfinished).replace(path)
    except OSError as error:
        raise Failure(f"{path} can't be written ({error.strerror})", Code.USAGE) from None
