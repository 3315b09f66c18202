"""Whose customer a gateway's customer is. Frozen, as 0001 is."""

from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("CREATE INDEX customer_gateway_customer ON payments.customer (gateway, gateway_customer_id)")
