"""`barbeque deploy aws`: an installation in an AWS account, by CloudFormation."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from barbeque_py.cli.aws_changes import TITLES, carry_out, facts_of, rows_of
from barbeque_py.cli.aws_inputs import Folder, Wish
from barbeque_py.cli.exits import Code, Failure
from barbeque_py.cli.options import Json, spread
from barbeque_py.cli.screen import print_json, print_line, print_table
from barbeque_py.cli.session import session_of

if TYPE_CHECKING:
    from barbeque_py.cli.aws_deployment import Deployment
    from barbeque_py.cli.aws_stacks import Change, Stacks

deploy = typer.Typer(name="deploy", no_args_is_help=True, help="Bring an installation to a cloud.")
aws = typer.Typer(name="aws", no_args_is_help=True)
deploy.add_typer(aws)

Name = Annotated[
    str,
    typer.Argument(metavar="INSTALLATION", help="Six of a-z and 0-9, as in prod01; it names all."),
]
Yes = Annotated[bool, typer.Option("--yes", help="Ask nothing: carry every change out.")]


@aws.callback()
def in_aws() -> None:
    """Make, change and watch an installation in AWS: four stacks of CloudFormation.

    `network`, `data`, `cluster` and `services`, each after the other. Credentials and Region are
    found as every AWS program finds them. docs/aws.md leads from an account to a finished job.
    """


@aws.command("plan")
@spread
def plan(
    context: typer.Context,
    installation: Name,
    *,
    wish: Wish,
    as_json: Json = False,
) -> None:
    """Show what `apply` would change, and change nothing."""
    with _opened(context, installation, wish) as (stacks, now):
        steps = []
        for step in now.steps():
            steps.append(step)
            if step.proposal is not None:
                stacks.withdraw(step.proposal)
    if as_json:
        print_json([each for step in steps for each in facts_of(step)])
        return
    rows = [row for step in steps for row in rows_of(step)]
    if not rows:
        print_line("nothing would change")
        return
    print_table(TITLES, rows)


@aws.command("apply")
@spread
def apply(
    context: typer.Context,
    installation: Name,
    *,
    wish: Wish,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Bring the stacks to what the templates and the parameters say.

    Each stack's changes are shown and asked about. Before the services move, the database is
    brought up to date by one task; if that fails, they stay as they are. Without an image yet, it
    ends with the address that the image is to be pushed to.
    """
    with _opened(context, installation, wish) as (stacks, now):
        changed = carry_out(stacks, now, now.steps, migrates=True, yes=yes, quiet=as_json)
        _end(installation, now, changed, as_json=as_json)


@aws.command("rollback")
def rollback(
    context: typer.Context,
    installation: Name,
    to: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="When it was deployed; without, the one before this."),
    ] = None,
    folder: Folder = None,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Take the services back to the image, the template and the parameters they had before.

    The database stays as it is: the version before works with it, too.
    """
    with _opened(context, installation, Wish(folder=folder)) as (stacks, now):
        former = now.former(to)
        if not as_json:
            print_line(f"back to what was deployed at {former['at']}")
        steps = lambda: now.back_to(former)  # noqa: E731 - asked for one by one
        changed = carry_out(stacks, now, steps, migrates=False, yes=yes, quiet=as_json)
        _end(installation, now, changed, as_json=as_json)


@aws.command("status")
def status(
    context: typer.Context, installation: Name, folder: Folder = None, as_json: Json = False
) -> None:
    """Tell how the stacks, the services and the alarms are."""
    from barbeque_py.cli.aws_standing import alarms_of, services_of

    with _opened(context, installation, Wish(folder=folder)) as (stacks, now):
        parts = [(part, stacks.look(part)) for part in now.parts]
        values = now.values()
        running = services_of(values, stacks.region)
        ringing = alarms_of(stacks.name_of("services"), stacks.region)
    if as_json:
        print_json(
            {
                "stacks": {part: each.status if each else None for part, each in parts},
                "image": values.get("Image"),
                "services": running,
                "alarms": ringing,
                "outputs": {name: values[name] for name in _SHOWN if name in values},
            }
        )
        return
    print_table(
        ("stack", "status", "changed (UTC)"),
        [
            (part, each.status if each else "not there", f"{each.changed_at:%F %T}" if each else "")
            for part, each in parts
        ],
    )
    if running:
        titles = ("service", "running", "wanted", "rollout", "definition")
        print_line("")
        print_table(titles, [[each[title] for title in titles] for each in running])
    for each in ringing:
        print_line(f"ALARM {each['name']}: {each['description']}")
    for name in _SHOWN:
        if name in values:
            print_line(f"{name}: {values[name]}")


@aws.command("run", context_settings={"ignore_unknown_options": True})
def run(
    context: typer.Context,
    installation: Name,
    words: Annotated[
        list[str],
        typer.Argument(metavar="COMMAND...", help="What stands behind `barbeque`, as in: check"),
    ],
) -> None:
    """Run a command of barbeque where a worker runs, under its role and with its settings.

    As `barbeque deploy aws run prod01 check`, or `... run prod01 user add ann@example.com --role
    admin`. What it prints is kept in the log group of the services.
    """
    from barbeque_py.cli.aws_one_off import run_once

    with _opened(context, installation) as (stacks, now):
        values = now.values()
        if "Worker" not in values:
            raise Failure(
                f"{stacks.name_of('services')} is not there: `barbeque deploy aws apply` makes it",
                Code.NOT_FOUND,
            )
        code = run_once(values["Worker"], values, stacks.region, print_line, command=words)
    if code:
        raise typer.Exit(code)


@aws.command("destroy")
def destroy(
    context: typer.Context,
    installation: Name,
    confirm: Annotated[
        str | None,
        typer.Option(metavar="INSTALLATION", help="The name once more, where nobody can type it."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Delete the services and the cluster; database, logs, images and network stay.

    Refuses while jobs run. `apply` makes again what was deleted, on the data that stayed.
    """
    from barbeque_py.cli.aws_standing import count_jobs
    from barbeque_py.cli.aws_templates import KEPT

    with _opened(context, installation) as (stacks, now):
        going = [part for part in reversed(now.parts) if part not in KEPT and now.look(part)]
        if not going:
            _tell_of_deleted([], [], as_json=as_json)
            return
        running = count_jobs(now.values(), stacks.region)
        if running:
            raise Failure(
                f"{running} jobs run: pause the queues (`barbeque pause QUEUE`) and wait for them, "
                "or cancel them"
            )
        names = ", ".join(map(stacks.name_of, going))
        _require_name(installation, confirm, f"{names} will be deleted")
        for part in going:
            stacks.delete(part, _in_silence if as_json else print_line)
        kept = [stacks.name_of(part) for part in KEPT if now.look(part)]
        _tell_of_deleted([stacks.name_of(part) for part in going], kept, as_json=as_json)


def _tell_of_deleted(deleted: "Sequence[str]", kept: "Sequence[str]", *, as_json: bool) -> None:
    if as_json:
        print_json({"deleted": deleted, "kept": kept})
    elif not deleted:
        print_line("there is nothing to delete")
    else:
        print_line(f"deleted: {', '.join(deleted)}; {' and '.join(kept)} stay, and are paid for")


def _in_silence(_sentence: str) -> None:
    """Tell nobody: what is printed is JSON alone."""


_SHOWN = ("Url", "LoadBalancerName", "Repository", "JobRoles", "DashboardUrl")
"""Outputs that people need."""

_NO_WISH = Wish()


@contextmanager
def _opened(
    context: typer.Context, installation: str, wish: Wish = _NO_WISH
) -> "Iterator[tuple[Stacks, Deployment]]":
    from barbeque_py.cli.aws_deployment import Deployment
    from barbeque_py.cli.aws_stacks import Stacks
    from barbeque_py.cli.aws_templates import templates
    from barbeque_py.setting_values import read_installation

    settings = session_of(context).settings()
    try:
        read_installation(installation)
    except ValueError as error:
        raise Failure(f"the installation is {installation!r}: {error}", Code.USAGE) from None
    with closing(Stacks(installation, settings.aws_region)) as stacks:
        said, image = wish.parameters, wish.pinned
        yield stacks, Deployment(installation, stacks, templates(wish.folder), said, image=image)


def _end(
    installation: str, now: "Deployment", changed: "Sequence[Change]", *, as_json: bool
) -> None:
    """Say what there is now, and what comes next."""
    values = now.values()
    shown = {name: values[name] for name in _SHOWN if name in values}
    if as_json:
        print_json({"changes": [each.facts() for each in changed], "outputs": shown})
        return
    for name, value in shown.items():
        print_line(f"{name}: {value}")
    if not now.has_image:
        print_line(
            f"push the image to {values['Repository']}, then `barbeque deploy aws apply "
            f"{installation} --image {values['Repository']}:TAG`"
        )


def _require_name(installation: str, confirmed: str | None, what: str) -> None:
    """Raise `Failure` unless somebody types the installation's name."""
    if confirmed is None:
        if not sys.stdin.isatty():
            raise Failure(f"{what}: say --confirm {installation}", Code.USAGE)
        confirmed = str(typer.prompt(f"{what}. Type the installation's name"))
    if confirmed != installation:
        raise Failure(f"{confirmed!r} is not {installation}: nothing was deleted", Code.USAGE)
