"""What the payment side has of the gateway's objects, by the time of its making, for sweeps. Frozen, as 0001 is."""

from alembic import op

revision = "0030"
down_revision = "0029"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("CREATE INDEX payment_created ON payments.payment (created_at, payment_id)")
    op.execute("CREATE INDEX refund_created ON payments.refund (created_at, refund_id)")
    op.execute("CREATE INDEX dispute_opened ON payments.dispute (opened_at, gateway_dispute_id)")
