"""Changes of an installation's stacks: shown, asked about, and carried out one by one."""

import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import typer

from barbeque_py.cli.exits import Code, Failure
from barbeque_py.cli.screen import print_line, print_table

if TYPE_CHECKING:
    from barbeque_py.cli.aws_deployment import Deployment, Step
    from barbeque_py.cli.aws_stacks import Change, Stacks

TITLES = ("stack", "action", "resource", "type", "because of")


def carry_out(
    stacks: "Stacks",
    now: "Deployment",
    steps: "Callable[[], Iterator[Step]]",
    *,
    migrates: bool,
    yes: bool,
    quiet: bool,
) -> "list[Change]":
    """Show, ask and do, stack by stack; return what was changed."""
    from barbeque_py.cli.aws_templates import KEPT

    done: list[Change] = []
    moved = False
    tell: Callable[[str], None] = (lambda _: None) if quiet else print_line
    for step in steps():
        part, proposal = step.template.name, step.proposal
        if proposal is None:
            tell(f"{part:<9} is as it should be")
            continue
        try:
            _show_and_ask(step, yes=yes, quiet=quiet)
            if part == "services" and migrates:
                _migrate(stacks, now, tell)
        except (Failure, typer.Abort):
            stacks.withdraw(proposal)
            raise
        stacks.carry_out(proposal, tell)
        if part in KEPT:
            stacks.protect(part)
        now.look(part, anew=True)
        moved = True
        done += proposal.changes
        if part == "data" and not now.has_image:
            break
    if moved and now.look("services") is not None:
        now.record()
    return done


def _show_and_ask(step: "Step", *, yes: bool, quiet: bool) -> None:
    from barbeque_py.cli.aws_templates import KEPT

    assert step.proposal is not None
    if not quiet:
        print_table(TITLES, rows_of(step))
    lost = [each.name for each in step.proposal.changes if each.loses]
    if step.template.name in KEPT and lost and not step.proposal.makes:
        raise Failure(
            f"{', '.join(lost)} would be replaced or removed, and hold data or are what it stands "
            "on: take the parameter back, or carry that out by hand in CloudFormation"
        )
    if yes:
        return
    if not sys.stdin.isatty():
        raise Failure("nobody can be asked here: look at `plan`, then say --yes", Code.USAGE)
    typer.confirm(f"Change {step.template.name}?", abort=True)


def _migrate(stacks: "Stacks", now: "Deployment", tell: Callable[[str], None]) -> None:
    from barbeque_py.cli.aws_one_off import run_once

    values = now.values()
    tell("the database is brought up to date")
    code = run_once(values["Migrate"], values, stacks.region, tell)
    if code:
        raise Failure(
            f"`migrate` ended with {code}, so the services stay as they are: what it wrote is in "
            f"the log group {values['ServiceLogs']}"
        )


def facts_of(step: "Step") -> list[dict[str, str]]:
    """Return the changes of a stack for programs."""
    if step.proposal is not None:
        return [each.facts() for each in step.proposal.changes]
    names = ("stack", "action", "name", "type", "because")
    return [dict(zip(names, map(str, row), strict=True)) for row in rows_of(step)]


def rows_of(step: "Step") -> list[tuple[str, ...]]:
    """Return a row for each change; of a stack that waits for another, all that it may make."""
    if step.proposal is not None:
        return [
            (each.stack, each.action, each.name, each.type, each.because)
            for each in step.proposal.changes
        ]
    if not step.waits_for:
        return []
    part, after = step.template.name, f"known when {step.waits_for} is there"
    return [
        (part, "may add" if "Condition" in each else "add", name, each["Type"], after)
        for name, each in step.template.resources.items()
    ]
