"""The schemas of the payment side and the order side.

Neither has a foreign key into the other: each service can have a database of its own. Published, hence
frozen: the statements stand here as they were, and no function that may change is called.
"""

from alembic import op

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


def _idempotency(schema: str) -> list[str]:
    return [
        f"""
        CREATE TABLE {schema}.idempotency_key (
            owner bytea NOT NULL,
            key text NOT NULL,
            fingerprint bytea NOT NULL,
            request_id text NOT NULL,
            attempt integer NOT NULL DEFAULT 1,
            lease_until timestamptz NOT NULL,
            expires_at timestamptz NOT NULL,
            status smallint,
            headers jsonb,
            body bytea,
            PRIMARY KEY (owner, key),
            CONSTRAINT answer_is_whole CHECK (num_nulls(status, headers, body) IN (0, 3))
        )
        """,
        f"CREATE INDEX idempotency_key_expires_at ON {schema}.idempotency_key (expires_at)",
    ]


def _log(schema: str) -> list[str]:
    return [
        f"CREATE SEQUENCE {schema}.outbox_event_position AS bigint",
        # The transaction's id is stored because commit order, not position, decides what a
        # reader has seen: positions commit out of order.
        f"""
        CREATE TABLE {schema}.outbox_event (
            created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
            xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
            position bigint NOT NULL DEFAULT nextval('{schema}.outbox_event_position'),
            id uuid NOT NULL,
            topic text NOT NULL,
            stream text NOT NULL,
            sequence bigint CHECK (sequence > 0),
            lane smallint NOT NULL,
            type text NOT NULL,
            payload jsonb NOT NULL,
            headers jsonb NOT NULL
        ) PARTITION BY RANGE (created_at)
        """,
        f"CREATE INDEX outbox_event_by_xid ON {schema}.outbox_event (lane, xid)",
        f"CREATE INDEX outbox_event_by_position ON {schema}.outbox_event (lane, position)",
        f"CREATE INDEX outbox_event_by_stream ON {schema}.outbox_event (topic, stream, sequence)",
        f"CREATE TABLE {schema}.outbox_event_default PARTITION OF {schema}.outbox_event DEFAULT",
        _make_partitions(schema),
        f"SELECT {schema}.outbox_make_partitions(7)",
        # Locked by whoever reads the lane, never updated: an updated row bloats under a held snapshot.
        f"""
        CREATE TABLE {schema}.outbox_lane (
            publisher text NOT NULL,
            lane smallint NOT NULL,
            PRIMARY KEY (publisher, lane)
        )
        """,
        # Appended, the newest entry of a lane counts; older ones are trimmed.
        f"""
        CREATE TABLE {schema}.outbox_cursor (
            publisher text NOT NULL,
            lane smallint NOT NULL,
            entry bigint NOT NULL,
            system_identifier bigint NOT NULL,
            base pg_snapshot NOT NULL,
            target pg_snapshot,
            last_position bigint NOT NULL,
            highest_position bigint NOT NULL,
            restored_position bigint NOT NULL,
            restored_base pg_snapshot,
            taken_at timestamptz NOT NULL DEFAULT clock_timestamp(),
            PRIMARY KEY (publisher, lane, entry)
        )
        """,
        *_anti_entropy(schema),
    ]


def _make_partitions(schema: str) -> str:
    # Attached rather than created in place, for that takes the weaker lock on the parent. A day that
    # already has rows in the default partition stays there; the caller raises the alarm.
    return f"""
        CREATE FUNCTION {schema}.outbox_make_partitions(days_ahead integer) RETURNS integer
        LANGUAGE plpgsql SET lock_timeout = '2s' AS $$
        DECLARE
            day date;
            name text;
            made integer := 0;
        BEGIN
            FOR i IN 0..days_ahead LOOP
                day := (now() AT TIME ZONE 'UTC')::date + i;
                name := 'outbox_event_' || to_char(day, 'YYYYMMDD');
                CONTINUE WHEN to_regclass(format('{schema}.%I', name)) IS NOT NULL;
                BEGIN
                    EXECUTE format('CREATE TABLE {schema}.%I (LIKE {schema}.outbox_event INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', name);
                    EXECUTE format(
                        'ALTER TABLE {schema}.outbox_event ATTACH PARTITION {schema}.%I FOR VALUES FROM (%L) TO (%L)',
                        name, day::timestamp AT TIME ZONE 'UTC', (day + 1)::timestamp AT TIME ZONE 'UTC'
                    );
                    made := made + 1;
                EXCEPTION WHEN lock_not_available OR check_violation OR duplicate_table THEN
                    RAISE WARNING 'partition % not made, %', name, SQLERRM;
                END;
            END LOOP;
            RETURN made;
        END
        $$
        """


def _anti_entropy(schema: str) -> list[str]:
    return [
        # Events that a consumer lacked when its window passed them.
        f"""
        CREATE TABLE {schema}.outbox_gap (
            consumer text NOT NULL,
            id uuid NOT NULL,
            lane smallint NOT NULL,
            position bigint NOT NULL,
            stream text NOT NULL,
            sequence bigint,
            published integer NOT NULL DEFAULT 0,
            due_at timestamptz NOT NULL DEFAULT clock_timestamp(),
            PRIMARY KEY (consumer, id)
        )
        """,
        f"CREATE INDEX outbox_gap_due ON {schema}.outbox_gap (consumer, due_at)",
        f"""
        CREATE TABLE {schema}.outbox_marker (
            consumer text PRIMARY KEY,
            marker text NOT NULL
        )
        """,
    ]


def _ordered(schema: str) -> list[str]:
    return [
        # One row per stream, kept for good: the next event may come months later.
        f"""
        CREATE TABLE {schema}.inbox_stream (
            consumer text NOT NULL,
            stream text NOT NULL,
            applied bigint NOT NULL DEFAULT 0,
            recent_ids uuid[] NOT NULL DEFAULT '{{}}',
            forked text,
            PRIMARY KEY (consumer, stream)
        ) WITH (fillfactor = 80)
        """,
        # Events that were received and not applied: plain ones wait for those before them; one with
        # due_at has failed, or was cut off, and is tried alone then; one with parked_at waits for an operator.
        f"""
        CREATE TABLE {schema}.inbox_waiting (
            consumer text NOT NULL,
            stream text NOT NULL,
            sequence bigint NOT NULL,
            id uuid NOT NULL,
            topic text NOT NULL,
            type text NOT NULL,
            payload jsonb NOT NULL,
            headers jsonb NOT NULL,
            received_at timestamptz NOT NULL DEFAULT clock_timestamp(),
            attempts integer NOT NULL DEFAULT 0,
            due_at timestamptz,
            parked_at timestamptz,
            cause text,
            PRIMARY KEY (consumer, stream, sequence, id),
            CHECK (due_at IS NULL OR parked_at IS NULL)
        )
        """,
        f"CREATE INDEX inbox_waiting_due ON {schema}.inbox_waiting (consumer, due_at) WHERE due_at IS NOT NULL",
        # One row per batch in hand, so that whoever finds it after a crash knows which events to suspect.
        f"""
        CREATE TABLE {schema}.inbox_attempt (
            id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            consumer text NOT NULL,
            event_ids uuid[] NOT NULL,
            started_at timestamptz NOT NULL DEFAULT clock_timestamp()
        )
        """,
        # What an operator decided to leave out, with the reason.
        f"""
        CREATE TABLE {schema}.inbox_skipped (
            consumer text NOT NULL,
            stream text NOT NULL,
            sequence bigint NOT NULL,
            id uuid NOT NULL,
            topic text NOT NULL,
            type text NOT NULL,
            payload jsonb NOT NULL,
            headers jsonb NOT NULL,
            cause text,
            reason text NOT NULL,
            skipped_at timestamptz NOT NULL DEFAULT clock_timestamp(),
            PRIMARY KEY (consumer, id)
        )
        """,
    ]


def _unordered(schema: str) -> list[str]:
    return [
        # One row per event ever received: `done_at` set and the payload dropped once it is carried out.
        f"""
        CREATE TABLE {schema}.inbox_event (
            consumer text NOT NULL,
            id uuid NOT NULL,
            topic text NOT NULL,
            stream text NOT NULL,
            sequence bigint,
            type text NOT NULL,
            payload jsonb,
            headers jsonb,
            received_at timestamptz NOT NULL DEFAULT clock_timestamp(),
            attempts integer NOT NULL DEFAULT 0,
            due_at timestamptz DEFAULT clock_timestamp(),
            done_at timestamptz,
            parked_at timestamptz,
            cause text,
            skip_reason text,
            PRIMARY KEY (consumer, id)
        )
        """,
        f"CREATE INDEX inbox_event_due ON {schema}.inbox_event (consumer, due_at) WHERE due_at IS NOT NULL",
    ]


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    for statement in PAYMENTS + _idempotency("payments") + _log("payments"):
        op.execute(statement)
    for statement in ORDERS + _idempotency("orders") + _log("orders"):
        op.execute(statement)
    for statement in _ordered("orders") + _unordered("orders"):
        op.execute(statement)
