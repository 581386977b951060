"""`barbeque schedules`: what runs by the clock; look, suspend, resume, run now."""

from typing import Annotated, Any

import typer

from barbeque_py.cli.exits import Code, Failure
from barbeque_py.cli.options import Json, Lasts
from barbeque_py.cli.screen import print_json, print_line, print_table, resting, short_time
from barbeque_py.cli.session import client_of

schedules = typer.Typer(name="schedules", invoke_without_command=True)

Name = Annotated[
    str, typer.Argument(metavar="APP/JOB/NAME", help="The schedule, as the list calls it.")
]


@schedules.callback()
def all_schedules(context: typer.Context) -> None:
    """Jobs that run by the clock: look when, suspend and resume them, run one now.

    Without a word behind it, lists them. The apply file says what there is.
    """
    if context.invoked_subcommand is None:
        list_schedules(context)


@schedules.command("list")
def list_schedules(
    context: typer.Context,
    app: Annotated[str | None, typer.Option(help="Only this app's.")] = None,
    as_json: Json = False,
) -> None:
    """List the schedules, and when each runs next."""
    found = client_of(context).schedules(app)
    if as_json:
        print_json(found)
        return
    if not found:
        print_line("nothing runs by the clock")
        return
    rows = [
        (_called(each), each["cron"], each["timezone"], short_time(each["last_at"]), _next(each))
        for each in found
    ]
    print_table(("schedule", "cron", "zone", "last (UTC)", "next (UTC)"), rows)


@schedules.command("suspend")
def suspend(
    context: typer.Context,
    name: Name,
    reason: Annotated[str | None, typer.Option(help="Why; shown with the schedule.")] = None,
    lasts: Lasts = None,
    as_json: Json = False,
) -> None:
    """Let a schedule start nothing until `resume`; what runs goes on."""
    answer = client_of(context).suspend_schedule(*_parts(name), reason, lasts=lasts)
    if as_json:
        print_json(answer)
    else:
        rests = resting(answer["suspended_at"], answer["suspended_until"])
        print_line(f"{name} is suspended {rests}")


@schedules.command("resume")
def resume(context: typer.Context, name: Name, as_json: Json = False) -> None:
    """Let a suspended schedule start its job again; what passed meanwhile is not caught up."""
    answer = client_of(context).resume_schedule(*_parts(name))
    if as_json:
        print_json(answer)
    else:
        print_line(f"{name} runs next at {_next(answer)} UTC")


@schedules.command("run")
def run(context: typer.Context, name: Name, as_json: Json = False) -> None:
    """Run a schedule's job once now, and print the MESSAGE_ID."""
    answer = client_of(context).run_schedule(*_parts(name))
    if as_json:
        print_json(answer)
    else:
        print_line(answer["message_id"])


def _called(schedule: dict[str, Any]) -> str:
    return "/".join(schedule[each] for each in ("app", "job", "name"))


def _next(schedule: dict[str, Any]) -> str:
    if schedule["suspended_at"] is not None:
        until = short_time(schedule["suspended_until"])
        return f"suspended until {until}" if until else "suspended"
    return short_time(schedule["next"][0]) if schedule["next"] else "never"


def _parts(name: str) -> tuple[str, str, str]:
    parts = name.split("/")
    if len(parts) != 3 or not all(parts):  # noqa: PLR2004 - as the message says
        raise Failure(f"{name!r} is no schedule: write APP/JOB/NAME", Code.USAGE)
    app, job, called = parts
    return app, job, called
