"""Audiences of experiments: who is analysed, and the dimensions that results are broken down by."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("experiments") as experiments:
        experiments.add_column(sa.Column("audience", sa.JSON(), nullable=False, server_default="{}"))
        experiments.add_column(sa.Column("post_stratify", sa.String(40), nullable=True))
