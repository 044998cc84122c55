"""Landing objects keep their file's time, and one that has changed may be read again, in a batch of its own."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
KEY = "pk_landing_objects"


def upgrade() -> None:
    with op.batch_alter_table("landing_objects") as objects:
        objects.add_column(sa.Column("modified_at", MOMENT, nullable=True))
        objects.add_column(sa.Column("reading", sa.Integer(), nullable=False, server_default="1"))
        objects.drop_constraint(KEY, type_="primary")
        objects.create_primary_key(KEY, ["name", "reading"])


def downgrade() -> None:
    op.execute("DELETE FROM landing_objects WHERE reading > 1")
    with op.batch_alter_table("landing_objects") as objects:
        objects.drop_constraint(KEY, type_="primary")
        objects.create_primary_key(KEY, ["name"])
        objects.drop_column("reading")
        objects.drop_column("modified_at")
