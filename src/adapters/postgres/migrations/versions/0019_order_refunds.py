"""What of an order was given back, and is to be. Frozen, as 0001 is."""

from alembic import op

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    # The default is for the orders of before, and for those that the release before still makes.
    op.execute("ALTER TABLE orders.orders ADD COLUMN refunds jsonb NOT NULL DEFAULT '[]'")
