"""Alembic's entry: it works on the connection that `registry.engine.migrate` hands over, in that transaction."""

from alembic import context

from experiment_pipeline.registry.columns import metadata
from experiment_pipeline.registry.tables import VERSION_TABLE

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    render_as_batch=True,  # SQLite alters tables by copying them
)
with context.begin_transaction():
    context.run_migrations()
