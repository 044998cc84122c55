"""Variants of exposures that an experiment ignores where it looks for traffic outside its split."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("experiments") as experiments:
        experiments.add_column(sa.Column("ignored_variants", sa.JSON(), nullable=False, server_default="[]"))
