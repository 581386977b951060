"""Fixtures that every test may ask for."""

from tests.cloud.rig import aws_environment, calm_cloud, cloud
from tests.stores import (
    mariadb,
    mariadb_store,
    mariadb_url,
    migrated_mariadb,
    sqlite_store,
    store,
)

__all__ = [
    "aws_environment",
    "calm_cloud",
    "cloud",
    "mariadb",
    "mariadb_store",
    "mariadb_url",
    "migrated_mariadb",
    "sqlite_store",
    "store",
]
