"""Options and arguments that several commands have."""

from typing import Annotated

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
