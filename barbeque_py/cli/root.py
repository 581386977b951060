"""The command `barbeque`: its verbs, what stands before them, and how it ends."""

import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import typer

from barbeque_py.cli.alive import alive
from barbeque_py.cli.apply import apply, export
from barbeque_py.cli.audit import audit
from barbeque_py.cli.backup import backup, restore
from barbeque_py.cli.check import check
from barbeque_py.cli.dead import dead
from barbeque_py.cli.deploy import deploy
from barbeque_py.cli.doctor import doctor
from barbeque_py.cli.enqueue import enqueue
from barbeque_py.cli.exec_local import exec_local
from barbeque_py.cli.executions import cancel, delete, list_executions, retry, status
from barbeque_py.cli.exits import LEGEND, Code, explain, quit_quietly
from barbeque_py.cli.import_barbeque import import_barbeque
from barbeque_py.cli.login import login, logout
from barbeque_py.cli.logs import logs
from barbeque_py.cli.migrate import migrate
from barbeque_py.cli.notices import notices
from barbeque_py.cli.numbers import failures, stats
from barbeque_py.cli.processes import api, console, worker
from barbeque_py.cli.queues import pause, queues, resume
from barbeque_py.cli.releases import release, releases, rollback
from barbeque_py.cli.schedules import schedules
from barbeque_py.cli.screen import print_line
from barbeque_py.cli.secret import secret
from barbeque_py.cli.session import Session
from barbeque_py.cli.subscriptions import subscribe, subscriptions, unsubscribe
from barbeque_py.cli.token import token
from barbeque_py.cli.top import top
from barbeque_py.cli.up import up
from barbeque_py.cli.user import user
from barbeque_py.cli.workers import workers

app = typer.Typer(
    name="barbeque",
    epilog=LEGEND,
    no_args_is_help=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print_line(f"barbeque_py {version('barbeque-py')}")
        raise typer.Exit


def _flow(words: str | None) -> str:
    """Return the docstring with each paragraph on one line, for the terminal to wrap."""
    paragraphs = inspect.cleandoc(words or "").split("\n\n")
    return "\n\n".join(" ".join(each.split()) for each in paragraphs)


def root(
    context: typer.Context,
    *,
    env_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A file of settings; what the environment has wins."),
    ] = None,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """Run container jobs for your applications, exactly one container per attempt.

    Begin with `barbeque up` in one terminal; in another, `barbeque apply -f FILE`, then
    `barbeque enqueue APP JOB '{"some": "json"}' --follow`.

    The verbs under "Run it" use settings (environment variables, see docs/configuration.md); all
    others speak HTTP to BARBEQUE_URL, with BARBEQUE_TOKEN where one is needed.
    """
    del version
    context.obj = Session(env_file)


app.callback(help=_flow(root.__doc__))(root)

_VERBS: dict[str, tuple[Callable[..., None], ...]] = {
    "Run it": (
        up,
        api,
        worker,
        console,
        migrate,
        check,
        doctor,
        alive,
        backup,
        restore,
        import_barbeque,
    ),
    "Jobs": (
        enqueue,
        status,
        logs,
        list_executions,
        retry,
        cancel,
        delete,
        stats,
        failures,
        exec_local,
        top,
    ),
    "Definitions and queues": (
        apply,
        export,
        release,
        rollback,
        releases,
        secret,
        queues,
        pause,
        resume,
        subscriptions,
        subscribe,
        unsubscribe,
        audit,
    ),
    "Who you are": (login, logout),
}
for panel, verbs in _VERBS.items():
    for verb in verbs:
        name = "list" if verb is list_executions else verb.__name__.replace("_", "-")
        app.command(name, help=_flow(verb.__doc__), rich_help_panel=panel)(verb)
app.add_typer(token, rich_help_panel="Run it")
app.add_typer(user, rich_help_panel="Run it")
app.add_typer(deploy, rich_help_panel="Run it")
app.add_typer(notices, rich_help_panel="Jobs")
app.add_typer(schedules, rich_help_panel="Definitions and queues")
app.add_typer(workers, rich_help_panel="Definitions and queues")
app.add_typer(dead, rich_help_panel="Definitions and queues")


def run(arguments: Sequence[str]) -> int:
    """Run the command with these arguments; return its exit code."""
    command = typer.main.get_command(app)
    try:
        ended = command.main(
            list(arguments) or ["--help"], prog_name="barbeque", standalone_mode=False
        )
    except BrokenPipeError:
        quit_quietly()
        return Code.FAILED
    except KeyboardInterrupt:
        return Code.INTERRUPTED
    except Exception as error:
        code = explain(error)
        if code is None:
            raise
        return code
    return ended if isinstance(ended, int) else Code.DONE
