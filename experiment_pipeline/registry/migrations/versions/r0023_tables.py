"""The outbox of the Delta tables, their batches, and the findings that were published with each look."""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.add_column("payloads", sa.Column("findings", sa.JSON(), nullable=True))
    op.create_table(
        "table_outbox",
        sa.Column("payload_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("batch", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(["payload_id"], ["payloads.id"], name="fk_table_outbox_payload_id"),
        sa.PrimaryKeyConstraint("payload_id", name="pk_table_outbox"),
    )
    op.create_table(
        "table_batches",
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("is_rebuild", sa.Boolean(), nullable=False),
        sa.Column("planned_at", MOMENT, nullable=False),
        sa.Column("written_at", MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("number", name="pk_table_batches"),
    )


def downgrade() -> None:
    op.drop_table("table_batches")
    op.drop_table("table_outbox")
    with op.batch_alter_table("payloads") as payloads:
        payloads.drop_column("findings")
