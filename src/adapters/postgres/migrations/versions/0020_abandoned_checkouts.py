"""Checkouts by how long nothing has happened to them. Frozen, as 0001 is."""

from alembic import op

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute(
        """
        CREATE INDEX orders_unpaid ON orders.orders (updated_at) WHERE cancellation IS NULL
            AND status IN ('PENDING_PAYMENT', 'AWAITING_USER_PAYMENT_ACTION', 'PAYMENT_FAILED')
        """
    )
