"""The tables, as the newest migration leaves them; importing this knows them all."""

from barbeque_py.store.tables import definitions, fleet, history, people, posts, runs
from barbeque_py.store.tables.columns import metadata

__all__ = ["definitions", "fleet", "history", "metadata", "people", "posts", "runs"]
