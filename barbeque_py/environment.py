"""What this process finds around it: its variables, and what `barbeque login` kept.

Nothing else reads the environment.
"""

import os
from pathlib import Path

from barbeque_py.env_file import read_env_file
from barbeque_py.errors import ConfigurationError

_FOR_OTHERS = 0o077


def inherited() -> dict[str, str]:
    """Return this process's variables: settings are read from them, and of them jobs get a few."""
    return dict(os.environ)


def login_file() -> Path:
    """Return where `barbeque login` keeps this user's server and token."""
    configuration = os.environ.get("XDG_CONFIG_HOME", "")
    folder = Path(configuration) if configuration.startswith("/") else Path.home() / ".config"
    return folder / "barbeque" / "login"


def read_login(path: Path) -> dict[str, str]:
    """Return what `barbeque login` kept in the file; nothing where there is none."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return {}
    if mode & _FOR_OTHERS:
        raise ConfigurationError(
            f"{path} holds a token and others may read it: `chmod 600 {path}`, and make a new token"
        )
    return read_env_file(path)
