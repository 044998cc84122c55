"""How long an environment keeps its events."""

import sqlalchemy as sa
from alembic import op

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("environments", sa.Column("keep_seconds", sa.BigInteger(), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("environments") as environments:
        environments.drop_column("keep_seconds")
