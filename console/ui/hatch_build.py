"""What a wheel or an sdist made from the repository has beside its sources: built assets."""

import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

sys.path.insert(0, str(Path(__file__).parent))
import assets


class AssetsHook(BuildHookInterface[Any]):
    """Builds the console's styles and scripts, which an sdist has already."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """Return what builds them where no Node is installed."""
        return [] if self._is_sdist() or assets.has_node() else [assets.NODE]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build, unless this project is installed for work on it: `make` builds then."""
        del build_data
        if version != "editable" and not self._is_sdist():
            assets.build()

    def _is_sdist(self) -> bool:
        return Path(self.root, "PKG-INFO").exists()
