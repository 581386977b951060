"""`barbeque secret`: what an app checks our signatures with."""

from typing import Annotated

import typer

from barbeque_py.cli.options import Json
from barbeque_py.cli.screen import print_json, print_line
from barbeque_py.cli.session import client_of


def secret(
    context: typer.Context,
    app: Annotated[str, typer.Argument(metavar="APP", help="The app's name.")],
    *,
    rotate: Annotated[
        bool, typer.Option("--rotate", help="Make a new secret in place of the one there is.")
    ] = False,
    overlap: Annotated[
        str, typer.Option(metavar="TIME", help="How long the one before signs beside the new one.")
    ] = "1d",
    as_json: Json = False,
) -> None:
    """Print the secret with which webhooks and callbacks to an app are signed.

    While a secret is being replaced, what is sent has two signatures; a receiver that knows either
    secret takes it.
    """
    client = client_of(context)
    found = (
        client.rotate_signing_secret(app, overlap=overlap)
        if rotate
        else client.signing_secrets(app)
    )
    if as_json:
        print_json(found)
    else:
        print_line(found[0]["secret"])
