"""A time at which to look at the payments that waited before there was one. Frozen, as 0001 is.

Those that the release before authorizes while both run have none either; their webhooks tell of them.
"""

from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute(
        """
        UPDATE payments.payment SET check_at = coalesce(capture_before, updated_at) + interval '10 minutes'
        WHERE check_at IS NULL AND (status = 'PROCESSING'
            OR (status = 'REQUIRES_CAPTURE' AND capture_before IS NOT NULL))
        """
    )
