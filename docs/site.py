"""How the pages become a site: the menu is that of index.md, and links out of docs/ are mended."""

import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
OUTSIDE = {"../CHANGELOG.md": "changelog.md", "../SECURITY.md": "security.md"}
"""Pages beside docs/ that belong to the site, and what they are called there."""
_SECTION = re.compile(r"^## (.+?)\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
_ROW = re.compile(r"^\|.*\| \[(.+?)\]\((\S+?)\) \|$", re.MULTILINE)
_LINK = re.compile(r"(?<!!)\[([^\]]*)\]\((\.\./[^)\s#]*)(#[^)\s]*)?\)")
_SCHEMA = "apply.schema.json"


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Make the menu of what index.md lists, in its order."""
    index = (ROOT / "docs" / "index.md").read_text()
    nav: list[Any] = [{"Overview": "index.md"}]
    for heading, text in _SECTION.findall(index):
        pages = [{name: path} for name, path in _ROW.findall(text) if path != _SCHEMA]
        nav += [{heading: pages}] if pages else []
    nav[-1]["Look up"] += [{"Changelog": "changelog.md"}, {"Report a fault": "security.md"}]
    config.nav = nav
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that stand beside docs/."""
    for outside, name in OUTSIDE.items():
        text = (ROOT / "docs" / outside).resolve().read_text()
        files.append(File.generated(config, name, content=text.replace("](docs/", "](")))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Lead to where it stands on the site, or, for what is in the repository only, nowhere."""
    del page, config, files
    return _LINK.sub(_mended, markdown)


def _mended(link: re.Match[str]) -> str:
    words, path, anchor = link[1], link[2], link[3] or ""
    return f"[{words}]({OUTSIDE[path]}{anchor})" if path in OUTSIDE else words
