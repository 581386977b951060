"""The one source of truth: SQLite or MySQL through SQLAlchemy Core, and nothing else speaks SQL."""

from barbeque_py.store.database import Store, Tx

__all__ = ["Store", "Tx"]
