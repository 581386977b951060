"""Images of a Docker engine: found, pulled, and pinned to what can't change any more."""

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlencode

from barbeque_py import clock
from barbeque_py.errors import ExecutorUnavailable, LaunchRefused
from barbeque_py.executors.engine import Engine, Stream
from barbeque_py.images import is_pinned, registry_of, repository_of

_FRESH = 2.0
"""Seconds for which a pinned image is taken to be there still: a burst of launches asks once."""

_PULL_SILENCE = 300.0
"""Seconds between two words of the engine about a pull; unpacking a large layer is silent."""

_OK, _BAD, _NOT_FOUND = 200, 400, 404
_FAULTS_OF_DEFINITION = (
    "not found",
    "denied",
    "unauthorized",
    "authentication required",
    "manifest unknown",
    "no matching manifest",
    "invalid reference",
    "unsupported",
    "cannot overwrite digest",
)
_FAULTS_OF_NETWORK = ("no such host", "dial tcp", "timeout", "toomanyrequests", "x509", "eof")


class Images:
    """The images of one engine, under the names that apps give."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._known: dict[str, tuple[float, str]] = {}

    def pin(self, image: str) -> str:
        """Return the image pinned; raises `LaunchRefused`.

        What names a registry is pulled unless it is pinned: its tag may have moved since the last
        time, and only where that can't be done this engine's own image of the name counts.
        """
        until, known = self._known.get(image, (0.0, None))
        if known is not None and clock.monotonic() < until:
            return known
        moves = registry_of(image) is not None and not is_pinned(image)
        found = None if moves else self._find(image)
        if found is None:
            found = self._pull_or_find(image)
        if found is None:
            raise LaunchRefused(
                f"There is no image {image}, even after a pull", blame_definition=True
            )
        if is_pinned(image):  # a tag may have moved since
            self._known[image] = (clock.monotonic() + _FRESH, found)
        return found

    def _pull_or_find(self, image: str) -> str | None:
        try:
            self._pull(image)
        except LaunchRefused:
            found = self._find(image)
            if found is None:
                raise
            return found
        return self._find(image)

    def _find(self, image: str) -> str | None:
        answer = self._engine.call("GET", f"/images/{quote(image, safe='/:@')}/json")
        if answer.status == _OK:
            facts = answer.json()
            return _pin(image, facts)
        if answer.status == _NOT_FOUND:
            return None
        raise LaunchRefused(
            f"{image} is no image's name ({answer.sentence()}): correct the app's image",
            blame_definition=True,
        )

    def _pull(self, image: str) -> None:
        if image.startswith("sha256:"):
            raise LaunchRefused(
                f"The image {image} is no longer on this machine: build or release it again",
                blame_definition=True,
            )
        query = {"fromImage": image} if _is_exact(image) else {"fromImage": image, "tag": "latest"}
        path = f"/images/create?{urlencode(query)}"
        with self._engine.stream("POST", path, silence=_PULL_SILENCE) as stream:
            for word in _words(stream):
                fault = word.get("error") or (
                    word.get("message") if stream.status >= _BAD else None
                )
                if fault:
                    raise _refusal(image, str(fault))


def _words(stream: Stream) -> Iterator[dict[str, Any]]:
    """Yield what the engine says about a pull: one JSON object a line."""
    unread = b""
    while not stream.complete:
        pieces = stream.read()
        if pieces is None:
            raise ExecutorUnavailable(
                f"The Docker engine is silent in a pull for {_PULL_SILENCE} s"
            )
        *lines, unread = b"".join((unread, *pieces)).split(b"\n")
        yield from (json.loads(line) for line in lines if line.strip())
    if unread.strip():
        yield json.loads(unread)


def _refusal(image: str, fault: str) -> LaunchRefused:
    """Tell a name that is wrong from a registry that can't be reached."""
    words = fault.lower()
    network = any(mark in words for mark in _FAULTS_OF_NETWORK)
    if not network and any(mark in words for mark in _FAULTS_OF_DEFINITION):
        return LaunchRefused(
            f"There is no image {image} that this engine may use ({fault}): build it, "
            "correct the app's image, or log in and pull it by hand",
            blame_definition=True,
        )
    return LaunchRefused(
        f"The image {image} is not on this machine and could not be pulled ({fault}): "
        "build it here, or check its name and the way to its registry",
        blame_definition=False,
    )


def _is_exact(image: str) -> bool:
    return "@" in image or ":" in image.rpartition("/")[2]


def _pin(image: str, facts: dict[str, Any]) -> str:
    """Prefer the digest under the same repository: a registry and other engines know it, too."""
    repository = repository_of(image)
    same = [name for name in facts["RepoDigests"] or () if name.partition("@")[0] == repository]
    return str(same[0] if same else facts["Id"])
