"""The examples of the OpenAPI document, as they stand in docs/api.md, whose own test makes them.

`python -m tests.flows.api_examples > api/barbeque_api/examples.json` writes them anew.
"""

import itertools
import json
import re
import shlex
from typing import Any

from tests.flows.pages import ROOT

_ROUTE = re.compile(r"^### `([A-Z]+ /\S+)`$", re.MULTILINE)
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def examples() -> dict[str, dict[str, Any]]:
    """Return for each route the body of its first request, and the first answer."""
    page = (ROOT / "docs" / "api.md").read_text()
    page = re.sub(r"^## .*$", "### `END /`", page, flags=re.MULTILINE)
    starts = list(_ROUTE.finditer(page))
    found = {}
    for start, end in zip(starts, [*starts[1:], None], strict=True):
        text = page[start.end() : end.start() if end else len(page)]
        if facts := _facts(text):
            found[start[1]] = facts
    found.pop("END /", None)
    return found


def _facts(text: str) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    for language, block in _BLOCK.findall(text):
        if language == "sh" and "request" not in facts and (body := _body(block)) is not None:
            facts["request"] = body
        if language == "json" and "answer" not in facts:
            answer = json.loads(block)
            if "status_code" not in answer:  # a refusal
                facts["answer"] = answer
    return facts


def _body(block: str) -> Any:
    """Return the JSON that the block's curl sends, None where it sends none."""
    words = shlex.split(block.replace("\\\n", " "))
    for word, following in itertools.pairwise(words):
        if word == "-d":
            return json.loads(following)
    return None


def text() -> str:
    """Return what examples.json holds."""
    return json.dumps(examples(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    print(text(), end="")
