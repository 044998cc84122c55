"""Of which objects of a batch the loss is accepted: objects that are lost later are not among them."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    with op.batch_alter_table("landing_objects") as objects:
        objects.add_column(sa.Column("loss_accepted_at", MOMENT, nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("landing_objects") as objects:
        objects.drop_column("loss_accepted_at")
