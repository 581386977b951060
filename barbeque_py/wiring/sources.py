"""Opens where images come from."""

from contextlib import ExitStack

from barbeque_py.registries.asking import Registries
from barbeque_py.release import Sources
from barbeque_py.settings import Settings
from barbeque_py.wiring.opened import kept


def digest_of(image: str) -> str | None:
    """Return what an image's tag means now, None when its registry does not tell."""
    registries = Registries()
    try:
        return registries.digest_of(image)
    finally:
        registries.close()


def open_sources(opened: ExitStack, settings: Settings) -> Sources:
    """Return where images may come from; asks no registry yet."""
    registries = kept(opened, Registries())
    return Sources(registries, settings.docker_registry, settings.registries or ())
