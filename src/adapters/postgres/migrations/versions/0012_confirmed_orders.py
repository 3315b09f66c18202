"""When an order's checkout was complete, and how an attempt pays by a saved method. Frozen, as 0001 is."""

from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    # Null for drafts, and for the orders of before: nobody noted when they were confirmed.
    op.execute("ALTER TABLE orders.orders ADD COLUMN confirmed_at timestamptz")
    # The default is for the rows of before, and for those that the release before still writes.
    op.execute(
        """
        ALTER TABLE orders.attempt
            ADD COLUMN off_session boolean NOT NULL DEFAULT false,
            ADD COLUMN setup_future_usage text
        """
    )
