"""What a person has acknowledged of a payment. Frozen, as 0001 is.

The limits that a gateway can overstep hold unless somebody must look at the payment, or has done so: else the
next update of a payment whose totals break one would fail once nobody must look any more.
"""

from alembic import op

revision = "0028"
down_revision = "0027"

LIMITS = {
    "payment_refunds_within_captured": "amount_refunded + amount_refunding <= amount_captured",
    "payment_captures_within_amount": "amount_captured + amount_capturable <= amount",
}


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("ALTER TABLE payments.payment ADD COLUMN acknowledged jsonb NOT NULL DEFAULT '[]'")
    for name, limit in LIMITS.items():
        op.execute(f"ALTER TABLE payments.payment DROP CONSTRAINT {name}")
        # Not validated, for each row satisfies the stronger one of before: nothing is scanned under the lock.
        op.execute(
            f"""
            ALTER TABLE payments.payment ADD CONSTRAINT {name}
            CHECK ({limit} OR attention IS NOT NULL OR acknowledged <> '[]') NOT VALID
            """
        )
