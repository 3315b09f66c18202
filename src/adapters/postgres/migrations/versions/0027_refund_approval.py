"""Refunds that wait for a second person, and those that are tried again. Frozen, as 0001 is."""

from alembic import op

revision = "0027"
down_revision = "0026"

REFUND_STEPS = [
    "PENDING_APPROVAL PENDING",
    "PENDING_APPROVAL REJECTED",
    "PENDING SUCCEEDED",
    "PENDING FAILED",
    "PENDING CANCELED",
    "SUCCEEDED FAILED",
    "FAILED PENDING",
    "FAILED PENDING_APPROVAL",
]


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    # The default is for the refunds of before, and for those that the release before still makes.
    op.execute(
        """
        ALTER TABLE payments.refund
            ADD COLUMN actor text,
            ADD COLUMN retried_by text,
            ADD COLUMN policy_rule text,
            ADD COLUMN decided_by text,
            ADD COLUMN decided_at timestamptz,
            ADD COLUMN comment text,
            ADD COLUMN attempt integer NOT NULL DEFAULT 1 CHECK (attempt > 0)
        """
    )
    # What was given back on the day of the upgrade counts towards that day's limits.
    op.execute(
        """
        UPDATE payments.refund SET decided_by = requested_by, decided_at = created_at
        WHERE requested_by IS NOT NULL AND created_at > now() - interval '24 hours'
        """
    )
    op.execute(
        """
        CREATE INDEX refund_decided ON payments.refund (decided_by, currency, decided_at)
            WHERE status IN ('PENDING', 'SUCCEEDED')
        """
    )
    op.execute(
        """
        CREATE INDEX refund_waiting ON payments.refund (updated_at) WHERE status = 'PENDING_APPROVAL'
        """
    )
    op.execute(
        """
        CREATE TABLE payments.approval_token (
            subject text NOT NULL,
            token_id text NOT NULL,
            refund_id text NOT NULL REFERENCES payments.refund,
            expires_at timestamptz NOT NULL,
            PRIMARY KEY (subject, token_id)
        )
        """
    )
    op.execute("CREATE INDEX approval_token_expiry ON payments.approval_token (expires_at)")
    legal = ", ".join(f"'{step}'" for step in REFUND_STEPS)
    op.execute(
        f"""
        CREATE OR REPLACE FUNCTION payments.refund_may_become(before text, after text) RETURNS boolean
        LANGUAGE sql IMMUTABLE AS $$ SELECT before || ' ' || after = ANY (ARRAY[{legal}]) $$
        """
    )
    # A refund leaves FAILED by a new attempt of ours, which has no object at the gateway yet; or because
    # the gateway has the one that was given up, which its id shows.
    op.execute(
        """
        CREATE TRIGGER refund_retried BEFORE UPDATE ON payments.refund FOR EACH ROW
        WHEN (
            OLD.status = 'FAILED' AND NEW.status <> 'FAILED'
            AND NOT (NEW.attempt = OLD.attempt + 1 AND NEW.gateway_refund_id IS NULL)
            AND NOT (NEW.attempt = OLD.attempt
                AND OLD.gateway_refund_id IS NULL AND NEW.gateway_refund_id IS NOT NULL)
        )
        EXECUTE FUNCTION payments.refuse('refund_transition')
        """
    )
    op.execute("DROP TRIGGER refund_approved ON payments.refund")
    op.execute(
        """
        CREATE TRIGGER refund_approved BEFORE UPDATE ON payments.refund FOR EACH ROW
        WHEN (
            NEW.status = 'PENDING' AND (OLD.status = 'PENDING_APPROVAL'
                OR OLD.status = 'FAILED' AND NEW.attempt > OLD.attempt)
        )
        EXECUTE FUNCTION payments.check_refund()
        """
    )
    # In whose name the payment side is asked to give money back, and what they were allowed.
    op.execute("ALTER TABLE orders.attempt ADD COLUMN requested_scope text")
