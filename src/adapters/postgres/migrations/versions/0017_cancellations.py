"""Orders that are called off, and the attempts at giving their money up or back. Frozen, as 0001 is."""

from alembic import op

revision = "0017"
down_revision = "0016"

_BEFORE_MONEY = ["DRAFT", "PENDING_PAYMENT", "AWAITING_USER_PAYMENT_ACTION", "AUTHORIZED", "PAYMENT_FAILED"]
_LATER = ["PAID", "PROCESSING_FULFILLMENT", "FULFILLED", "PARTIALLY_REFUNDED", "REFUNDED", "CANCELED"]

# One change of an order may fold several events, so here is whatever can be reached.
ORDER_STEPS = [
    f"{before} {after}"
    for before in _BEFORE_MONEY + _LATER
    for after in _BEFORE_MONEY + _LATER
    if before != after and (before in _BEFORE_MONEY or after in _LATER)
]


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("ALTER TABLE orders.orders ADD COLUMN cancellation jsonb")
    legal = ", ".join(f"'{step}'" for step in ORDER_STEPS)
    op.execute(
        f"""
        CREATE OR REPLACE FUNCTION orders.order_may_become(before text, after text) RETURNS boolean
        LANGUAGE sql IMMUTABLE AS $$ SELECT before || ' ' || after = ANY (ARRAY[{legal}]) $$
        """
    )
    # The default is for the rows of before, and for those that the release before still writes.
    op.execute(
        """
        ALTER TABLE orders.attempt
            ADD COLUMN amount bigint CHECK (amount > 0),
            ADD COLUMN reason text,
            ADD COLUMN requested_by text,
            ADD COLUMN gives_way boolean NOT NULL DEFAULT false,
            DROP CONSTRAINT attempt_kind_check,
            ADD CONSTRAINT attempt_kind CHECK (kind IN ('CREATE', 'CONFIRM', 'CANCEL', 'REFUND')) NOT VALID
        """
    )
    # One at a time tries to pay an order; what gives its money back may be many.
    op.execute(
        """
        CREATE UNIQUE INDEX attempt_open_checkout ON orders.attempt (order_id)
            WHERE status = 'STARTED' AND kind IN ('CREATE', 'CONFIRM')
        """
    )
    op.execute("DROP INDEX orders.attempt_open_order")
