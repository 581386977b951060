"""Fixtures that every test may ask for."""

from tests.stores import mariadb, mariadb_store, sqlite_store, store

__all__ = ["mariadb", "mariadb_store", "sqlite_store", "store"]
