"""What people say of an installation in AWS: parameters, the image, templates of their own."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from barbeque_py.cli.exits import Code, Failure

Folder = Annotated[
    Path | None,
    typer.Option("--templates", metavar="FOLDER", help="Templates of your own in place of ours."),
]


@dataclass(frozen=True, slots=True)
class Wish:
    """What a call says of how an installation is to be; what it does not say stays."""

    image: Annotated[
        str | None,
        typer.Option(
            help="The image of barbeque_py, by tag or digest; it is pinned by its digest."
        ),
    ] = None
    said: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="A parameter; repeat it. Others stay."),
    ] = None
    file: Annotated[
        Path | None,
        typer.Option("--parameters", metavar="FILE", help="Parameters as YAML; --set wins."),
    ] = None
    folder: Folder = None

    @property
    def parameters(self) -> dict[str, str]:
        """The parameters that are said. Raises `Failure` for what is no parameter."""
        found = {} if self.file is None else _read_file(self.file)
        for each in self.said or ():
            name, equals, value = each.partition("=")
            if not equals:
                raise Failure(f"--set {each}: write NAME=VALUE", Code.USAGE)
            found[name] = value
        return found

    @property
    def pinned(self) -> str | None:
        """The image by its digest. Raises `Failure` where nobody knows the digest."""
        from barbeque_py.images import is_pinned, with_digest
        from barbeque_py.wiring.sources import digest_of

        if self.image is None or is_pinned(self.image):
            return self.image
        digest = digest_of(self.image)
        if digest is None:
            raise Failure(
                f"nobody tells what {self.image} is now: name it by its digest, NAME@sha256:..."
            )
        return with_digest(self.image, digest)


def _read_file(file: Path) -> dict[str, str]:
    import yaml

    try:
        read = yaml.safe_load(file.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise Failure(f"{file} can't be read: {error}", Code.USAGE) from None
    plain = (str, int, float, bool)
    if not isinstance(read, dict) or not all(isinstance(each, plain) for each in read.values()):
        raise Failure(f"{file} is no list of NAME: VALUE, one a line", Code.USAGE)
    return {str(name): _text(value) for name, value in read.items()}


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
