"""What we must not begin is refused by the database too; what the gateway reports is kept.

What we begin are rows of their own: operations, and refunds that name who asked for them. They are
checked against their payment when they are inserted, or approved. A gateway's report only changes a
payment, a refund or a dispute, and is held to the constraints that `attention` lifts. Frozen, as 0001 is.
"""

from alembic import op

revision = "0007"
down_revision = "0006"

_STATES = [
    "REQUIRES_PAYMENT_METHOD",
    "REQUIRES_CONFIRMATION",
    "REQUIRES_ACTION",
    "PROCESSING",
    "REQUIRES_CAPTURE",
    "SUCCEEDED",
    "CANCELED",
]
_BEFORE_MONEY = [
    "DRAFT",
    "PENDING_PAYMENT",
    "AWAITING_USER_PAYMENT_ACTION",
    "AUTHORIZED",
    "PAID",
    "PROCESSING_FULFILLMENT",
    "FULFILLED",
    "PAYMENT_FAILED",
    "CANCELED",
    "PARTIALLY_REFUNDED",
    "REFUNDED",
]
_AFTER_MONEY = ["PAID", "PROCESSING_FULFILLMENT", "FULFILLED", "PARTIALLY_REFUNDED", "REFUNDED"]

PAYMENT_STEPS = {
    ("payment", before, after) for before in _STATES[:4] for after in _STATES if before != after
} | {("payment", "REQUIRES_CAPTURE", "SUCCEEDED"), ("payment", "REQUIRES_CAPTURE", "CANCELED")}
REFUND_STEPS = {
    ("refund", "PENDING_APPROVAL", "PENDING"),
    ("refund", "PENDING_APPROVAL", "REJECTED"),
    ("refund", "PENDING", "SUCCEEDED"),
    ("refund", "PENDING", "FAILED"),
    ("refund", "PENDING", "CANCELED"),
    ("refund", "SUCCEEDED", "FAILED"),
}
OPERATION_STEPS = {
    ("operation", "STARTED", "UNKNOWN"),
    *(("operation", before, after) for before in ("STARTED", "UNKNOWN") for after in ("SUCCEEDED", "FAILED")),
}
# One change of an order may fold several events, so here is whatever can be reached.
ORDER_STEPS = {
    ("order", before, after)
    for before in _BEFORE_MONEY
    for after in _BEFORE_MONEY
    if before != after and before != "CANCELED" and (before not in _AFTER_MONEY or after in _AFTER_MONEY)
}


def _transitions(schema: str, steps: set[tuple[str, str, str]]) -> list[str]:
    """A function of each machine, which PostgreSQL inlines: a legal step costs a look into a constant."""
    functions = []
    for machine in sorted({machine for machine, _, _ in steps}):
        legal = ", ".join(f"'{before} {after}'" for name, before, after in sorted(steps) if name == machine)
        functions.append(
            f"""
            CREATE FUNCTION {schema}.{machine}_may_become(before text, after text) RETURNS boolean
            LANGUAGE sql IMMUTABLE AS $$ SELECT before || ' ' || after = ANY (ARRAY[{legal}]) $$
            """
        )
    refuse = f"""
        CREATE FUNCTION {schema}.refuse_transition() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION 'from % to % violates check constraint "%_transition"',
                OLD.status, NEW.status, TG_ARGV[0]
                USING ERRCODE = 'check_violation', CONSTRAINT = TG_ARGV[0] || '_transition';
        END $$
        """
    return [*functions, refuse]


def _holds(table: str, machine: str, unless: str = "false") -> str:
    schema = table.partition(".")[0]
    return f"""
        CREATE TRIGGER {machine}_transition BEFORE UPDATE ON {table} FOR EACH ROW
        WHEN (
            OLD.status IS DISTINCT FROM NEW.status
            AND NOT ({schema}.{machine}_may_become(OLD.status, NEW.status) OR ({unless}))
        )
        EXECUTE FUNCTION {schema}.refuse_transition('{machine}')
        """


REFUSE = """
    CREATE FUNCTION payments.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION 'new row of "%" violates check constraint "%"', TG_TABLE_NAME, TG_ARGV[0]
            USING ERRCODE = 'check_violation', CONSTRAINT = TG_ARGV[0];
    END $$
    """

# What was taken once stays taken, whoever reports less later; and what a payment is for stays.
HISTORY = """
    CREATE TRIGGER payment_history BEFORE UPDATE ON payments.payment FOR EACH ROW
    WHEN (
        NEW.amount_captured < OLD.amount_captured
        OR NEW.sequence < OLD.sequence
        OR NEW.version < OLD.version
        OR NEW.order_id <> OLD.order_id
        OR NEW.currency <> OLD.currency
        OR (NEW.amount <> OLD.amount AND OLD.amount_capturable + OLD.amount_captured > 0)
    )
    EXECUTE FUNCTION payments.refuse('payment_history')
    """

# The lock makes two that begin at once wait for one another, whoever they are.
CHECK_REFUND = """
    CREATE FUNCTION payments.check_refund() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        paid payments.payment;
        promised bigint;
        broken text;
    BEGIN
        SELECT * INTO paid FROM payments.payment WHERE payment_id = NEW.payment_id FOR UPDATE;
        SELECT coalesce(sum(amount), 0) INTO promised FROM payments.refund
            WHERE payment_id = NEW.payment_id AND refund_id <> NEW.refund_id
            AND status IN ('PENDING', 'SUCCEEDED');
        IF NEW.currency <> paid.currency THEN
            broken := 'refund_currency';
        ELSIF NEW.status NOT IN ('PENDING_APPROVAL', 'PENDING') THEN
            broken := 'refund_begins_pending';
        ELSIF NEW.status = 'PENDING' AND promised + NEW.amount > paid.amount_captured THEN
            broken := 'refund_within_captured';
        ELSE
            RETURN NEW;
        END IF;
        RAISE EXCEPTION 'refund % violates check constraint "%"', NEW.refund_id, broken
            USING ERRCODE = 'check_violation', CONSTRAINT = broken;
    END $$
    """

CHECK_OPERATION = """
    CREATE FUNCTION payments.check_operation() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        paid payments.payment;
        allowed boolean;
    BEGIN
        SELECT * INTO paid FROM payments.payment WHERE payment_id = NEW.payment_id FOR UPDATE;
        allowed := NEW.status = 'STARTED' AND CASE NEW.kind
            WHEN 'CONFIRM' THEN
                paid.status IN ('REQUIRES_PAYMENT_METHOD', 'REQUIRES_CONFIRMATION', 'REQUIRES_ACTION')
            WHEN 'UPDATE' THEN paid.status IN ('REQUIRES_PAYMENT_METHOD', 'REQUIRES_CONFIRMATION')
            -- The release before names no target.
            WHEN 'CAPTURE' THEN paid.status = 'REQUIRES_CAPTURE' AND (
                NEW.target_amount IS NULL OR NEW.target_amount > paid.amount_captured
                AND NEW.target_amount <= paid.amount_captured + paid.amount_capturable
            )
            WHEN 'RELEASE' THEN paid.status = 'REQUIRES_CAPTURE'
            WHEN 'CANCEL' THEN paid.status NOT IN ('SUCCEEDED', 'CANCELED')
            WHEN 'REFUND' THEN EXISTS (
                SELECT FROM payments.refund WHERE refund_id = NEW.refund_id
                AND payment_id = NEW.payment_id AND status = 'PENDING'
            )
            ELSE true
        END;
        IF NOT allowed THEN
            RAISE EXCEPTION 'operation % violates check constraint "operation_allowed"', NEW.operation_id
                USING ERRCODE = 'check_violation', CONSTRAINT = 'operation_allowed';
        END IF;
        RETURN NEW;
    END $$
    """

# When all is written: the payment's totals are the sums of its refunds.
CHECK_TOTALS = """
    CREATE FUNCTION payments.check_refund_totals() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        which text := CASE TG_OP WHEN 'DELETE' THEN OLD.payment_id ELSE NEW.payment_id END;
    BEGIN
        PERFORM FROM payments.payment WHERE payment_id = which
            AND amount_refunding = (SELECT coalesce(sum(amount), 0) FROM payments.refund
                WHERE payment_id = which AND status = 'PENDING')
            AND amount_refunded = (SELECT coalesce(sum(amount), 0) FROM payments.refund
                WHERE payment_id = which AND status = 'SUCCEEDED');
        IF NOT FOUND THEN
            RAISE EXCEPTION 'payment % violates check constraint "payment_refund_totals"', which
                USING ERRCODE = 'check_violation', CONSTRAINT = 'payment_refund_totals';
        END IF;
        RETURN NULL;
    END $$
    """

PAYMENTS = [
    "ALTER TABLE payments.dispute ADD COLUMN charge_refundable boolean NOT NULL DEFAULT true",
    "ALTER TABLE payments.dispute ADD COLUMN evidence_due_by timestamptz",
    "ALTER TABLE payments.dispute ADD COLUMN amount_withdrawn bigint NOT NULL DEFAULT 0",
    "ALTER TABLE payments.dispute ADD COLUMN reminded boolean NOT NULL DEFAULT false",
    "ALTER TABLE payments.dispute ADD CONSTRAINT dispute_amounts CHECK (amount >= 0 AND amount_withdrawn >= 0)",
    "ALTER TABLE payments.dispute ADD CONSTRAINT dispute_currency CHECK (currency ~ '^[A-Z]{3}$')",
    "ALTER TABLE payments.refund ADD CONSTRAINT refund_currency CHECK (currency ~ '^[A-Z]{3}$')",
    "CREATE INDEX dispute_payment ON payments.dispute (payment_id)",
    """
    CREATE INDEX dispute_evidence ON payments.dispute (evidence_due_by) WHERE NOT closed AND NOT reminded
    """,
    # One call at a time decides an intent's fate: nobody waits for two answers, and only what takes the
    # place of an unknown one stands beside it. Refunds promise their amounts and may be many at once.
    """
    CREATE UNIQUE INDEX operation_in_flight ON payments.operation (payment_id)
        WHERE status = 'STARTED' AND kind <> 'REFUND'
    """,
    *_transitions("payments", PAYMENT_STEPS | REFUND_STEPS | OPERATION_STEPS),
    _holds("payments.payment", "payment"),
    _holds("payments.operation", "operation"),
    # A refund that we gave up as never received, and that the gateway has after all: its report binds it.
    _holds(
        "payments.refund",
        "refund",
        unless="OLD.status = 'FAILED' AND OLD.gateway_refund_id IS NULL AND NEW.gateway_refund_id IS NOT NULL",
    ),
    REFUSE,
    HISTORY,
    CHECK_REFUND,
    """
    CREATE TRIGGER refund_begun BEFORE INSERT ON payments.refund FOR EACH ROW
    WHEN (NEW.requested_by IS NOT NULL) EXECUTE FUNCTION payments.check_refund()
    """,
    """
    CREATE TRIGGER refund_approved BEFORE UPDATE ON payments.refund FOR EACH ROW
    WHEN (OLD.status = 'PENDING_APPROVAL' AND NEW.status = 'PENDING')
    EXECUTE FUNCTION payments.check_refund()
    """,
    """
    CREATE TRIGGER refund_history BEFORE UPDATE ON payments.refund FOR EACH ROW
    WHEN (NEW.amount <> OLD.amount OR NEW.currency <> OLD.currency OR NEW.payment_id <> OLD.payment_id)
    EXECUTE FUNCTION payments.refuse('refund_history')
    """,
    CHECK_OPERATION,
    """
    CREATE TRIGGER operation_begun BEFORE INSERT ON payments.operation FOR EACH ROW
    EXECUTE FUNCTION payments.check_operation()
    """,
    CHECK_TOTALS,
    """
    CREATE CONSTRAINT TRIGGER refund_totals AFTER INSERT OR UPDATE OR DELETE ON payments.refund
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION payments.check_refund_totals()
    """,
    """
    CREATE CONSTRAINT TRIGGER payment_refund_totals AFTER UPDATE ON payments.payment
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN (OLD.amount_refunding <> NEW.amount_refunding OR OLD.amount_refunded <> NEW.amount_refunded)
    EXECUTE FUNCTION payments.check_refund_totals()
    """,
]

ORDERS = [
    *_transitions("orders", ORDER_STEPS),
    _holds("orders.orders", "order"),
    "ALTER TABLE orders.orders ADD CONSTRAINT orders_amounts CHECK (amount_paid >= 0 AND amount_refunded >= 0)",
]


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    for statement in PAYMENTS + ORDERS:
        op.execute(statement)
