"""Styles and scripts as console/ui builds them: named by their content, packed, kept for ever."""

import json
from collections.abc import Mapping
from pathlib import Path

from starlette.datastructures import Headers
from starlette.responses import FileResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from barbeque_py.errors import ConfigurationError

BUILT = Path(__file__).parent / "static"
_PACKED = (("br", ".br"), ("gzip", ".gz"))
_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


def read_manifest() -> Mapping[str, str]:
    """Return the file that stands for each name.

    Raises `ConfigurationError` when none were built, which only a clone of the repository can be.
    """
    try:
        names: dict[str, str] = json.loads((BUILT / "manifest.json").read_text())
    except FileNotFoundError:
        raise ConfigurationError(
            "the console's styles and scripts are not built: run `make assets`"
        ) from None
    return names


class Assets(StaticFiles):
    """The built files; an address changes with the content behind it."""

    def __init__(self) -> None:
        super().__init__(directory=BUILT)

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Answer with the smallest form of the file that the browser takes."""
        accepted = Headers(scope=scope).get("accept-encoding", "")
        kind = _TYPES.get(Path(path).suffix)
        for coding, suffix in _PACKED:
            full, found = self.lookup_path(path + suffix)
            if kind and coding in accepted and found:
                response: Response = FileResponse(full, stat_result=found, media_type=kind)
                response.headers["content-encoding"] = coding
                break
        else:
            response = await super().get_response(path, scope)
        response.headers["vary"] = "accept-encoding"
        response.headers["cache-control"] = "public, max-age=31536000, immutable"
        return response
