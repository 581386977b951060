"""Options and arguments that several commands have."""

import inspect
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from functools import wraps
from typing import Annotated, Any, get_type_hints

import typer

Host = Annotated[
    str,
    typer.Option(
        help="Address to listen on; other than loopback where all who come are asked who they are."
    ),
]
ApiHost = Annotated[
    str, typer.Option(help="Address to listen on; other than loopback with BARBEQUE_AUTH=tokens.")
]
Port = Annotated[int, typer.Option(min=0, max=65_535, help="Port to listen on; 0: any free one.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
MessageId = Annotated[
    str, typer.Argument(metavar="MESSAGE_ID", help="The id that the enqueue answered.")
]
Lasts = Annotated[
    str | None,
    typer.Option(
        "--for",
        metavar="DURATION",
        help="As in 2h: then it goes on by itself. Default: until `resume`.",
    ),
]


def spread(command: Callable[..., None]) -> Callable[..., None]:
    """Give the command an option for each field of its parameter that is a dataclass.

    So several commands have the same options, which stand in one place, and get them as one value.
    """
    hints = get_type_hints(command, include_extras=True)
    (name,) = [each for each, hint in hints.items() if is_dataclass(hint)]
    kind = hints[name]
    own = get_type_hints(kind, include_extras=True)
    options = [_option(each.name, own[each.name], each.default) for each in fields(kind)]

    @wraps(command)
    def called(*args: Any, **typed: Any) -> None:
        wanted = {each.name: typed.pop(each.name) for each in options}
        command(*args, **typed, **{name: kind(**wanted)})

    before = inspect.signature(command, eval_str=True)
    seen = {each: options if each == name else [it] for each, it in before.parameters.items()}
    signature = before.replace(parameters=[it for every in seen.values() for it in every])
    called.__signature__ = signature  # type: ignore[attr-defined]
    return called


def _option(name: str, hint: Any, default: Any) -> inspect.Parameter:
    kind = inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(name, kind, default=default, annotation=hint)
