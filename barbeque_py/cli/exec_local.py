"""`barbeque exec-local`: runs what an execution ran, here, to see why it failed."""

import sys
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from barbeque_py.cli.exits import Code, Failure, plain
from barbeque_py.cli.options import Json, MessageId
from barbeque_py.cli.screen import print_json
from barbeque_py.cli.session import client_of

if TYPE_CHECKING:
    from barbeque_py.apps import App, JobDefinition
    from barbeque_py.client import Client
    from barbeque_py.executor import Launch


def exec_local(
    context: typer.Context,
    message_id: MessageId,
    *,
    attempt: Annotated[
        int | None, typer.Option(min=1, help="As that attempt; left out: as the newest.")
    ] = None,
    docker: Annotated[
        bool | None,
        typer.Option(
            "--docker/--process", help="Where; left out: in Docker where an engine answers."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Run an execution's image, command, environment and message here, and print its output.

    Nothing of it reaches the server: no attempt, no log, no notice. Image, command and message are
    the attempt's own. Variables that the definition sets, and limits, are those of now, as they
    may be secrets and are not kept with attempts; they need a token with the scope deploy. Ends
    with 0 when the command does, else with 1. With --json standard output has how it ended, and
    what the job wrote is on standard error.
    """
    from barbeque_py.cli import local_runs
    from barbeque_py.environment import inherited

    client = client_of(context)
    execution = dict(client.execution(message_id).facts)
    message = execution["message"]
    if message is None:
        raise Failure("the message of this execution is no longer kept", Code.NOT_FOUND)
    launch = _launch(client, execution, attempt)
    environment = inherited()
    in_docker = local_runs.engine_answers(environment) if docker is None else docker
    where = f"in Docker, image {launch.image}" if in_docker else "as a process"
    _note(f"{launch.app}/{launch.job} {where}: {' '.join(launch.command)}")
    run = local_runs.run_in_docker if in_docker else local_runs.run_as_process
    ended = run(launch, message, environment, quiet=as_json)
    why = "timed out" if ended.timed_out else f"exited with {ended.exit_code}"
    _note(f"{why} after {ended.seconds:.1f} s")
    if as_json:
        print_json(
            {
                "message_id": launch.message_id,
                "image": launch.image if in_docker else None,
                "exit_code": ended.exit_code,
                "timed_out": ended.timed_out,
                "seconds": round(ended.seconds, 3),
                "result": ended.result,
            }
        )
    elif ended.result is not None:
        _note(f"its result: {ended.result}")
    raise typer.Exit(Code.DONE if ended.exit_code == 0 else Code.FAILED)


def _launch(client: "Client", execution: dict[str, Any], number: int | None) -> "Launch":
    """Return what a worker would launch as the attempt after the last one, with that image."""
    from dataclasses import replace

    from barbeque_py.launches import launch_of
    from barbeque_py.store.ready import Ready

    app, job = _definition(client, execution["app"], execution["job"])
    tries = execution["attempts"]
    meant = [each for each in tries if number in (None, each["number"])][-1:]
    if number is not None and not meant:
        raise Failure(f"the execution has no attempt {number}", Code.NOT_FOUND)
    wanted = Ready(
        id=execution["id"],
        message_id=execution["message_id"],
        app=app.name,
        job=job.name,
        queue=execution["queue"],
        options=execution["options"],
        round=execution["round"],
        counted_before=execution["retries"],
        attempts=len(tries),
        image_from=1,
        sent_at=datetime.fromisoformat(execution["sent_at"]),
    )
    launch = launch_of(wanted, app, job, number=len(tries) + 1, prepared=None)
    if not meant:
        return launch
    command = meant[0]["command"]
    own = launch.command if command is None else tuple(command)
    return replace(launch, image=meant[0]["image"], command=own)


def _definition(client: "Client", app: str, job: str) -> "tuple[App, JobDefinition]":
    from pathlib import Path

    from barbeque_py.manifest import parse

    manifest = parse(client.export(app), base=Path.cwd())
    jobs = [each for each in manifest.jobs if (each.app, each.name) == (app, job)]
    if not jobs:
        raise Failure(f"the app {app} has no job {job} any more", Code.NOT_FOUND)
    return next(each for each in manifest.apps if each.name == app), jobs[0]


def _note(text: str) -> None:
    sys.stderr.write(f"-- {plain(text)}\n")
    sys.stderr.flush()
