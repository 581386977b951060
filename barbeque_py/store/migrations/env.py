"""Run by Alembic: migrates over the connection that `store.schema` hands in."""

from alembic import context

from barbeque_py.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    transaction_per_migration=True,
)
with context.begin_transaction():
    context.run_migrations()
