"""The command line: `barbeque`."""

import sys


def main() -> None:
    """Run the command that was typed, and exit with its code."""
    from barbeque_py.cli.root import run

    sys.exit(run(sys.argv[1:]))
