"""Whether a payment's method is saved. Frozen, as 0001 is."""

from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("ALTER TABLE payments.payment ADD COLUMN setup_future_usage text")
