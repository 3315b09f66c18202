"""Refunds whose goods came back, each once. Frozen, as 0001 is."""

from alembic import op

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute(
        """
        CREATE TABLE orders.restock (
            refund_id text PRIMARY KEY,
            order_id text NOT NULL,
            goods jsonb NOT NULL,
            created_at timestamptz NOT NULL
        )
        """
    )
