"""Parts of the machine that tests need: a laptop may lack them, a build machine may not."""

import os
from typing import NoReturn

import pytest


def missing(part: str, reason: str) -> NoReturn:
    """Skip the test that needs the part; fail it where CI promises every part."""
    sentence = f"{part}: {reason}"
    if os.environ.get("CI") == "true":  # noqa: TID251 - tells a build machine from a laptop
        pytest.fail(sentence)
    pytest.skip(sentence)


def need(part: str, there: object, reason: str) -> None:
    """Go on where the part is there; else as `missing`."""
    if not there:
        missing(part, reason)
