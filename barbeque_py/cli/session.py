"""What every command gets: the settings, and the client that speaks to the server."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from barbeque_py.cli.exits import warn

if TYPE_CHECKING:
    from barbeque_py.client import Client
    from barbeque_py.settings import Settings


@dataclass(slots=True)
class Session:
    """One call of the command line."""

    env_file: Path | None = None

    def settings(self) -> "Settings":
        """Read the settings, and warn about variables that look like settings and are none."""
        from barbeque_py.settings import Settings

        settings = Settings.from_environment(env_file=self.env_file)
        for warning in settings.warnings:
            warn(warning)
        return settings

    def client(self) -> "Client":
        """Return a client of BARBEQUE_URL with BARBEQUE_TOKEN, or of what `login` kept."""
        # httpx's own command line, for which it loads rich, is half of what httpx takes to load.
        sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]

        from barbeque_py.client import Client
        from barbeque_py.environment import login_file
        from barbeque_py.settings import Settings

        settings = Settings.from_environment(env_file=self.env_file, login=login_file())
        return Client(settings.url, settings.token, retries=0)


def session_of(context: typer.Context) -> Session:
    """Return what the call was given before its command."""
    session = context.find_object(Session)
    assert session is not None
    return session


def client_of(context: typer.Context) -> "Client":
    """Return a client, closed when the command ends."""
    client = session_of(context).client()
    context.call_on_close(client.close)
    return client
