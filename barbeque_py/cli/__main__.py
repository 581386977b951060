"""Lets `python -m barbeque_py.cli` stand for `barbeque`."""

from barbeque_py.cli import main

if __name__ == "__main__":
    main()
