"""Orders that a person must look at, for the list of them. Frozen, as 0001 is."""

from alembic import op

revision = "0026"
down_revision = "0025"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("CREATE INDEX orders_attention ON orders.orders (order_id) WHERE attention IS NOT NULL")
