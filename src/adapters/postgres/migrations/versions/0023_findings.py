"""What reconciliation finds, and how far it has come. Frozen, as 0001 is."""

from alembic import op

revision = "0023"
down_revision = "0022"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("CREATE SCHEMA IF NOT EXISTS reconciliation")
    op.execute(
        """
        CREATE TABLE reconciliation.finding (
            finding_id text PRIMARY KEY,
            type text NOT NULL,
            object_id text NOT NULL,
            gateway text,
            payment_id text,
            order_id text,
            expected jsonb NOT NULL,
            found jsonb NOT NULL,
            note text,
            action text NOT NULL CHECK (action IN ('apply', 'refund', 'flag', 'ignore')),
            status text NOT NULL CHECK (status IN ('OPEN', 'REPAIRED', 'RESOLVED', 'IGNORED')),
            tries integer NOT NULL,
            first_seen timestamptz NOT NULL,
            last_seen timestamptz NOT NULL,
            closed_at timestamptz,
            settled_by text,
            comment text,
            CHECK ((status = 'OPEN') = (closed_at IS NULL))
        )
        """
    )
    # One open finding of a type for an object: whoever compares at the same time finds it there.
    op.execute(
        """
        CREATE UNIQUE INDEX finding_open ON reconciliation.finding (type, object_id) WHERE status = 'OPEN'
        """
    )
    op.execute("CREATE INDEX finding_oldest ON reconciliation.finding (first_seen) WHERE status = 'OPEN'")
    op.execute("CREATE INDEX finding_object ON reconciliation.finding (object_id, type, finding_id)")
    op.execute("CREATE INDEX finding_order ON reconciliation.finding (order_id) WHERE order_id IS NOT NULL")
    op.execute(
        "CREATE INDEX finding_payment ON reconciliation.finding (payment_id) WHERE payment_id IS NOT NULL"
    )
    op.execute(
        """
        CREATE TABLE reconciliation.cursor (
            name text PRIMARY KEY,
            value jsonb NOT NULL,
            updated_at timestamptz NOT NULL
        )
        """
    )
