"""Which requests asked for a refund to be tried again. Frozen, as 0001 is."""

from alembic import op

revision = "0031"
down_revision = "0030"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    # The default is for the refunds of before, and for those that the release before still makes.
    op.execute("ALTER TABLE payments.refund ADD COLUMN retries jsonb NOT NULL DEFAULT '[]'")
