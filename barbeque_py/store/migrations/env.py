"""Run by Alembic: migrates over the connection that `store.schema` hands in."""

from alembic import context

from barbeque_py.store.tables import metadata

_connection = context.config.attributes["connection"]
_sqlite = _connection.dialect.name == "sqlite"

context.configure(
    connection=_connection,
    target_metadata=metadata,
    render_as_batch=True,
    # On SQLite one transaction holds the write lock from the first look to the last step: between
    # two of them another process would begin where this one is about to go on.
    transaction_per_migration=not _sqlite,
    transactional_ddl=_sqlite or None,
)
with context.begin_transaction():
    context.run_migrations()
