"""What the life of a payment needs: captures in parts, changed amounts, and a time at which to look at it.

An authorization that lapses soon is warned of once; a payment that its gateway leaves undecided is looked
up again and again, at the times in `check_at`. `looked_up_at` bounds how often a client may ask for that.
"""

from alembic import op

revision = "0006"
down_revision = "0005"

STATEMENTS = [
    """
    ALTER TABLE payments.payment
        ADD COLUMN multicapture boolean NOT NULL DEFAULT false,
        ADD COLUMN authorization_warned boolean NOT NULL DEFAULT false,
        ADD COLUMN check_at timestamptz,
        ADD COLUMN looked_up_at timestamptz
    """,
    # Only the few payments that wait stand in these, however many there are.
    """
    CREATE INDEX payment_expiring ON payments.payment (capture_before)
        WHERE status = 'REQUIRES_CAPTURE' AND NOT authorization_warned
    """,
    "CREATE INDEX payment_check ON payments.payment (check_at) WHERE check_at IS NOT NULL",
    "CREATE INDEX payment_attention ON payments.payment (attention) WHERE attention IS NOT NULL",
    "ALTER TABLE payments.operation ADD COLUMN target_amount bigint",
    # Not validated: every row met the narrower check before.
    """
    ALTER TABLE payments.operation
        DROP CONSTRAINT operation_kind_check,
        ADD CONSTRAINT operation_kind_check CHECK (kind IN
            ('CREATE', 'UPDATE', 'CONFIRM', 'CAPTURE', 'RELEASE', 'CANCEL', 'REFUND')) NOT VALID
    """,
]


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    for statement in STATEMENTS:
        op.execute(statement)
