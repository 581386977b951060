"""What people say of an installation in AWS: parameters, the image, templates of their own."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from barbeque_py.cli.exits import Code, Failure

Said = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="A parameter; repeat it. Others stay."),
]
SaidInFile = Annotated[
    Path | None,
    typer.Option("--parameters", metavar="FILE", help="Parameters as YAML; --set wins."),
]
Image = Annotated[
    str | None,
    typer.Option(help="The image of barbeque_py, by tag or digest; it is pinned by its digest."),
]
Folder = Annotated[
    Path | None,
    typer.Option("--templates", metavar="FOLDER", help="Templates of your own in place of ours."),
]


def read_said(said: Sequence[str] | None, file: Path | None) -> dict[str, str]:
    """Return the parameters that are said; raise `Failure` for what is no parameter."""
    found = {} if file is None else _read_file(file)
    for each in said or ():
        name, equals, value = each.partition("=")
        if not equals:
            raise Failure(f"--set {each}: write NAME=VALUE", Code.USAGE)
        found[name] = value
    return found


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


def pinned(image: str) -> str:
    """Return the image by its digest. Raises `Failure` where nobody knows the digest."""
    from barbeque_py.images import is_pinned, with_digest
    from barbeque_py.wiring import digest_of

    if is_pinned(image):
        return image
    digest = digest_of(image)
    if digest is None:
        raise Failure(f"nobody tells what {image} is now: name it by its digest, NAME@sha256:...")
    return with_digest(image, digest)
