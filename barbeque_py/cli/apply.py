"""`barbeque apply`: makes apps, jobs and queues as a YAML file says."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from barbeque_py.cli.exits import Code, Failure, plain
from barbeque_py.cli.inputs import read_text
from barbeque_py.cli.options import Json
from barbeque_py.cli.screen import print_json, print_line
from barbeque_py.cli.session import client_of


def apply(
    context: typer.Context,
    file: Annotated[
        str, typer.Option("--file", "-f", metavar="FILE", help="The file; - is standard input.")
    ],
    *,
    prune: Annotated[
        bool, typer.Option("--prune", help="Remove jobs it does not name, of apps it names.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would change.")] = False,
    diff: Annotated[
        bool, typer.Option("--diff", help="Only say what would change, each key of it.")
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="As --diff, and end with 5 if anything would.")
    ] = False,
    planned: Annotated[
        str | None,
        typer.Option(
            metavar="STATE", help="Only if all is still as --diff found it, by its state."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Make apps, jobs and queues as a YAML file says: all of it, or nothing.

    What the file does not name stays as it is. Paths in it are relative to the file (to the
    working directory, when it comes from standard input).

    From CI: --diff shows the plan, --planned STATE applies it and nothing else, --check ends with 5
    where what there is differs from the file.
    """
    from barbeque_py.cli import plan
    from barbeque_py.client import Refused

    text = read_text(file)
    base = Path.cwd() if file == "-" else Path(file).absolute().parent
    flags = {"prune": prune, "dry_run": dry_run or diff or check, "diff": diff or check}
    try:
        answer = client_of(context).apply(text, base=str(base), planned=planned, **flags)
    except Refused as error:
        if not error.problems:
            raise
        if as_json:
            print_json({"problems": error.problems})
        raise _faulty(file, error.problems) from None
    if as_json:
        print_json(answer)
    elif flags["diff"]:
        plan.print_plan(answer)
    else:
        _print_changes(answer["changes"], dry_run=dry_run)
    if check and plan.differs(answer):
        raise typer.Exit(Code.DIFFERS)
    if left := answer.get("unfinished"):
        raise _unfinished(left)


def export(
    context: typer.Context,
    apps: Annotated[
        list[str] | None,
        typer.Argument(metavar="[APP]...", help="These apps only, and the queues of their jobs."),
    ] = None,
    *,
    as_json: Json = False,
) -> None:
    """Print what there is as a file that `apply` takes; applied as it is, it changes nothing.

    Values of environment variables are in it.
    """
    text = client_of(context).export(*(apps or ()))
    if as_json:
        import yaml

        print_json(yaml.safe_load(text))
    else:
        sys.stdout.write(text)


def _faulty(file: str, problems: Sequence[Mapping[str, Any]]) -> Failure:
    """Print each fault as compilers do; return the error that sums them up."""
    name = "standard input" if file == "-" else file
    for each in problems:
        where = f"{name}:{each['line']}:{each['column']}" if each["line"] else name
        path = f"{each['path']}: " if each["path"] else ""
        sys.stderr.write(plain(f"{where}: {path}{each['message']}") + "\n")
    count = "1 fault" if len(problems) == 1 else f"{len(problems)} faults"
    return Failure(f"{name} has {count}; nothing was changed", Code.USAGE)


def _unfinished(left: Sequence[Mapping[str, str]]) -> Failure:
    """Print what SNS could not be told of; return the error that sums it up."""
    for each in left:
        sys.stderr.write(plain(f"{each['name']}: {each['reason']}") + "\n")
    count = "1 subscription" if len(left) == 1 else f"{len(left)} subscriptions"
    return Failure(f"the file is applied, but {count} could not be made right in SNS: apply again")


def _print_changes(changes: Sequence[Mapping[str, str]], *, dry_run: bool) -> None:
    for each in changes:
        print_line(f"{each['kind']:5}  {plain(each['name'])}  {each['change']}")
    if dry_run:
        print_line("nothing was changed: it was a dry run")
