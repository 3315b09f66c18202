"""What became of a payment's line items. Frozen, as 0001 is."""

from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    # The default is for the rows of before, and for those that the release before still writes.
    op.execute(
        """
        ALTER TABLE payments.payment
            ADD COLUMN line_items text,
            ADD COLUMN line_item_faults jsonb NOT NULL DEFAULT '[]'
        """
    )
