"""What Alembic runs: the revisions on the connection it was handed, inside that connection's transaction."""

from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    version_table=context.config.attributes["table"],
    target_metadata=None,
    transactional_ddl=True,
)
context.run_migrations()
