"""The schemas of the payment side and the order side.

Neither has a foreign key into the other: each service can have a database of its own.
"""

from alembic import op

from adapters.postgres.idempotency import idempotency_ddl
from outbox import Outbox
from outbox.ordered_sql import ordered_ddl
from outbox.unordered_sql import unordered_ddl

revision = "0001"
down_revision = None

PAYMENTS = [
    "CREATE SCHEMA payments",
    """
    CREATE TABLE payments.payment (
        payment_id text PRIMARY KEY,
        order_id text NOT NULL,
        user_id text,
        amount bigint NOT NULL CHECK (amount > 0),
        currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
        capture_method text NOT NULL CHECK (capture_method IN ('AUTOMATIC', 'MANUAL')),
        gateway text NOT NULL,
        description text,
        gateway_customer_id text,
        intent_id text,
        client_secret text,
        status text NOT NULL CHECK (status IN ('REQUIRES_PAYMENT_METHOD', 'REQUIRES_CONFIRMATION',
            'REQUIRES_ACTION', 'PROCESSING', 'REQUIRES_CAPTURE', 'SUCCEEDED', 'CANCELED')),
        next_action jsonb,
        amount_capturable bigint NOT NULL CHECK (amount_capturable >= 0),
        amount_captured bigint NOT NULL CHECK (amount_captured >= 0),
        amount_refunded bigint NOT NULL CHECK (amount_refunded >= 0),
        amount_refunding bigint NOT NULL CHECK (amount_refunding >= 0),
        capture_before timestamptz,
        last_error jsonb,
        failed_charge_id text,
        charge_id text,
        method jsonb,
        cancellation_reason text,
        in_flight text,
        operation_unknown boolean NOT NULL,
        attention text,
        sequence bigint NOT NULL CHECK (sequence >= 0),
        version integer NOT NULL,
        created_at timestamptz NOT NULL,
        updated_at timestamptz NOT NULL,
        -- What we begin stays within these; a fact that the gateway reports is kept and flagged.
        CONSTRAINT payment_refunds_within_captured
            CHECK (amount_refunded + amount_refunding <= amount_captured OR attention IS NOT NULL),
        CONSTRAINT payment_captures_within_amount
            CHECK (amount_captured + amount_capturable <= amount OR attention IS NOT NULL)
    )
    """,
    # A declined payment stays live; only the gateway's cancellation makes room for another.
    """
    CREATE UNIQUE INDEX payment_live_order ON payments.payment (order_id) WHERE status <> 'CANCELED'
    """,
    "CREATE UNIQUE INDEX payment_intent ON payments.payment (intent_id)",
    "CREATE INDEX payment_order ON payments.payment (order_id, payment_id)",
    "CREATE INDEX payment_user ON payments.payment (user_id, payment_id)",
    """
    CREATE TABLE payments.refund (
        refund_id text PRIMARY KEY,
        payment_id text NOT NULL REFERENCES payments.payment,
        amount bigint NOT NULL CHECK (amount > 0),
        currency text NOT NULL,
        reason text,
        status text NOT NULL CHECK (status IN ('PENDING_APPROVAL', 'PENDING', 'SUCCEEDED', 'FAILED',
            'REJECTED', 'CANCELED')),
        gateway_refund_id text UNIQUE,
        failure_reason text,
        requested_by text,
        operation_unknown boolean NOT NULL,
        version integer NOT NULL,
        created_at timestamptz NOT NULL,
        updated_at timestamptz NOT NULL
    )
    """,
    "CREATE INDEX refund_payment ON payments.refund (payment_id)",
    """
    CREATE TABLE payments.dispute (
        gateway_dispute_id text PRIMARY KEY,
        payment_id text NOT NULL REFERENCES payments.payment,
        amount bigint NOT NULL,
        currency text NOT NULL,
        reason text NOT NULL,
        status text NOT NULL,
        closed boolean NOT NULL,
        opened_at timestamptz NOT NULL,
        updated_at timestamptz NOT NULL
    )
    """,
    """
    CREATE TABLE payments.operation (
        operation_id text PRIMARY KEY,
        payment_id text NOT NULL REFERENCES payments.payment,
        refund_id text REFERENCES payments.refund,
        kind text NOT NULL CHECK (kind IN ('CREATE', 'CONFIRM', 'CAPTURE', 'CANCEL', 'REFUND')),
        request jsonb NOT NULL,
        status text NOT NULL CHECK (status IN ('STARTED', 'UNKNOWN', 'SUCCEEDED', 'FAILED')),
        checks integer NOT NULL,
        error text,
        payment_version integer NOT NULL,
        created_at timestamptz NOT NULL,
        next_check_at timestamptz NOT NULL,
        finished_at timestamptz,
        CONSTRAINT operation_finished CHECK ((status IN ('SUCCEEDED', 'FAILED')) = (finished_at IS NOT NULL))
    )
    """,
    """
    CREATE INDEX operation_due ON payments.operation (next_check_at) WHERE status IN ('STARTED', 'UNKNOWN')
    """,
    "CREATE INDEX operation_payment ON payments.operation (payment_id)",
    """
    CREATE TABLE payments.customer (
        gateway text NOT NULL,
        user_id text NOT NULL,
        gateway_customer_id text NOT NULL,
        PRIMARY KEY (gateway, user_id)
    )
    """,
    """
    CREATE TABLE payments.webhook_event (
        event_id text PRIMARY KEY,
        type text NOT NULL,
        intent_id text,
        payment_id text,
        created_at timestamptz NOT NULL,
        received_at timestamptz NOT NULL,
        body bytea NOT NULL
    )
    """,
    """
    CREATE INDEX webhook_event_waiting ON payments.webhook_event (intent_id)
        WHERE payment_id IS NULL AND intent_id IS NOT NULL
    """,
]

ORDERS = [
    "CREATE SCHEMA orders",
    """
    CREATE TABLE orders.orders (
        order_id text PRIMARY KEY,
        user_id text,
        currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
        lines jsonb NOT NULL,
        customer jsonb,
        metadata jsonb NOT NULL,
        shipping_amount bigint NOT NULL CHECK (shipping_amount >= 0),
        total_amount bigint NOT NULL CHECK (total_amount > 0),
        status text NOT NULL CHECK (status IN ('DRAFT', 'PENDING_PAYMENT', 'AWAITING_USER_PAYMENT_ACTION',
            'AUTHORIZED', 'PAID', 'PROCESSING_FULFILLMENT', 'FULFILLED', 'PAYMENT_FAILED', 'CANCELED',
            'PARTIALLY_REFUNDED', 'REFUNDED')),
        attention text,
        payments jsonb NOT NULL,
        amount_paid bigint NOT NULL,
        amount_refunded bigint NOT NULL,
        accepted_at timestamptz,
        fulfilled_at timestamptz,
        version integer NOT NULL,
        created_at timestamptz NOT NULL,
        updated_at timestamptz NOT NULL
    ) WITH (fillfactor = 80)
    """,
    "CREATE INDEX orders_user ON orders.orders (user_id, order_id)",
    "CREATE INDEX orders_status ON orders.orders (status, order_id)",
    """
    CREATE TABLE orders.attempt (
        attempt_id text PRIMARY KEY,
        order_id text NOT NULL REFERENCES orders.orders,
        kind text NOT NULL CHECK (kind IN ('CREATE', 'CONFIRM')),
        payment_id text,
        return_url text,
        capture_method text NOT NULL,
        payment_method_token text,
        status text NOT NULL CHECK (status IN ('STARTED', 'DONE', 'REFUSED')),
        error text,
        created_at timestamptz NOT NULL,
        next_check_at timestamptz NOT NULL
    )
    """,
    "CREATE UNIQUE INDEX attempt_open_order ON orders.attempt (order_id) WHERE status = 'STARTED'",
    "CREATE INDEX attempt_due ON orders.attempt (next_check_at) WHERE status = 'STARTED'",
]


def upgrade() -> None:
    for statement in PAYMENTS + idempotency_ddl("payments") + Outbox("payments").ddl():
        op.execute(statement)
    for statement in ORDERS + idempotency_ddl("orders") + Outbox("orders").ddl():
        op.execute(statement)
    for statement in ordered_ddl("orders") + unordered_ddl("orders"):
        op.execute(statement)
