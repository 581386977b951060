"""Plain values as YAML that people read and edit, and that is read back as the same values."""

import re
from collections.abc import Mapping
from typing import Any

import yaml

_LINE_ENDS = re.compile("[\r\x85\u2028\u2029\ufeff]")


def write_yaml(facts: Mapping[str, Any]) -> str:
    """Write these keys and values, in their order."""
    return yaml.dump(dict(facts), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, _: object) -> bool:
        return True

    def represent_text(self, text: str) -> yaml.ScalarNode:
        # Single quotes would turn these into plain newlines; double quotes escape them.
        style = '"' if _LINE_ENDS.search(text) else "|" if "\n" in text else None
        return self.represent_scalar("tag:yaml.org,2002:str", text, style)


_Dumper.add_representer(str, _Dumper.represent_text)
