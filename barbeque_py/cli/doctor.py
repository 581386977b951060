"""`barbeque doctor`: what support needs, in one archive without secrets."""

import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from barbeque_py.cli.exits import Failure
from barbeque_py.cli.options import Json
from barbeque_py.cli.screen import print_json, print_line
from barbeque_py.cli.session import session_of

if TYPE_CHECKING:
    import tarfile

_MODE = 0o600


def doctor(
    context: typer.Context,
    output: Annotated[
        Path,
        typer.Option(metavar="FILE", help="The archive to write; one that is there is kept."),
    ] = Path("barbeque-doctor.tar.gz"),
    as_json: Json = False,
) -> None:
    """Gather what support needs to know into one archive, without secrets.

    Versions, settings with their secrets masked, what `barbeque check` finds, the schema, how many
    rows there are, queues, limits, workers, and what went wrong lately. No message, no log of a job
    and no token is in it; names of apps, jobs and queues are. Look at it before you send it.

    With --json it is printed, and no file written. Changes nothing else.
    """
    from barbeque_py.cli.check import tell_part
    from barbeque_py.cli.diagnosis import diagnose

    if not as_json and output.exists():
        raise Failure(f"{output} is there already: name another file with --output")
    facts = diagnose(session_of(context).settings(), looking=tell_part)
    tell_part("")
    if as_json:
        print_json(facts)
        return
    _write(output, facts)
    print_line(f"{output} has it: look at it, then send it to whoever helps you")


def _write(path: Path, facts: dict[str, Any]) -> None:
    """Write the archive, one file for each part."""
    import tarfile

    try:
        with path.open("xb") as file, tarfile.open(fileobj=file, mode="w:gz") as archive:
            path.chmod(_MODE)
            for name, each in facts.items():
                _add(archive, f"barbeque-doctor/{name}.json", each)
    except OSError as error:
        raise Failure(f"{path} can't be written ({error.strerror}): see --output") from None


def _add(archive: "tarfile.TarFile", name: str, facts: object) -> None:
    from tarfile import TarInfo

    text = json.dumps(facts, indent=2, ensure_ascii=False).encode() + b"\n"
    member = TarInfo(name)
    member.size, member.mode = len(text), _MODE
    archive.addfile(member, io.BytesIO(text))
