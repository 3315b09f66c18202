"""What became of each webhook, and bodies that are kept for a while only. Frozen, as 0001 is."""

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    # NULL in rows of the release before, which does not write these columns.
    op.execute(
        """
        ALTER TABLE payments.webhook_event
            ADD COLUMN outcome text CHECK (outcome IN ('APPLIED', 'NOTHING_NEW', 'WAITING', 'IGNORED',
                'UNREADABLE')),
            ADD COLUMN is_known boolean,
            ALTER COLUMN body DROP NOT NULL
        """
    )
    # For lists by time and for the removal of ids; the next one for the removal of bodies.
    op.execute("CREATE INDEX webhook_event_received ON payments.webhook_event (received_at, event_id)")
    op.execute(
        """
        CREATE INDEX webhook_event_body ON payments.webhook_event (received_at) WHERE body IS NOT NULL
        """
    )
    op.execute(
        """
        CREATE INDEX webhook_event_payment ON payments.webhook_event (payment_id, received_at)
            WHERE payment_id IS NOT NULL
        """
    )
    # What somebody should look at, or that is to be replayed: few among the many.
    op.execute(
        """
        CREATE INDEX webhook_event_open ON payments.webhook_event (outcome, received_at)
            WHERE outcome IN ('WAITING', 'UNREADABLE')
        """
    )
