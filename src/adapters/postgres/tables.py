"""The tables of both services, as SQLAlchemy builds statements on them; migrations/ makes them.

A column that mirrors a field of an aggregate has the field's name. What is only ever read with its
aggregate (an order's lines, its payments) is jsonb in the aggregate's row: one row to lock, load and write.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    SmallInteger,
    Table,
    Text,
    Uuid,
)
from sqlalchemy.dialects.postgresql import JSONB

metadata = MetaData()


def _text(name: str) -> Column[str]:
    return Column(name, Text)


def _amount(name: str) -> Column[int]:
    return Column(name, BigInteger)


def _time(name: str) -> "Column[object]":
    return Column(name, DateTime(timezone=True))


def _data_keys(schema: str) -> Table:
    """Each record's own data key, wrapped; without one where it was destroyed."""
    return Table(
        "data_key",
        metadata,
        Column("record", Text, primary_key=True),
        _text("wrapped"),
        *map(_time, ("created_at", "erased_at")),
        schema=schema,
    )


payment_key = _data_keys("payments")
order_key = _data_keys("orders")

payment = Table(
    "payment",
    metadata,
    Column("payment_id", Text, primary_key=True),
    *map(_text, ("order_id", "user_id", "currency", "capture_method", "gateway", "description")),
    *map(
        _text,
        ("gateway_customer_id", "intent_id", "client_secret", "status", "failed_charge_id", "charge_id"),
    ),
    *map(_text, ("cancellation_reason", "setup_future_usage", "line_items", "in_flight", "attention")),
    *map(_amount, ("amount", "amount_capturable", "amount_captured", "amount_refunded", "amount_refunding")),
    *map(_time, ("created_at", "updated_at", "capture_before", "check_at", "looked_up_at")),
    Column("next_action", JSONB),
    Column("last_error", JSONB),
    Column("line_item_faults", JSONB),
    Column("acknowledged", JSONB),
    Column("method", JSONB),
    Column("operation_unknown", Boolean),
    Column("multicapture", Boolean),
    Column("authorization_warned", Boolean),
    Column("sequence", BigInteger),
    Column("version", Integer),
    schema="payments",
)

refund = Table(
    "refund",
    metadata,
    Column("refund_id", Text, primary_key=True),
    *map(
        _text,
        ("payment_id", "currency", "reason", "status", "gateway_refund_id", "failure_reason", "requested_by"),
    ),
    *map(_text, ("actor", "retried_by", "policy_rule", "decided_by", "comment")),
    Column("retries", JSONB),
    _amount("amount"),
    *map(_time, ("created_at", "updated_at", "decided_at")),
    Column("operation_unknown", Boolean),
    Column("attempt", Integer),
    Column("version", Integer),
    schema="payments",
)

approval_token = Table(
    "approval_token",
    metadata,
    *(Column(name, Text, primary_key=True) for name in ("subject", "token_id")),
    _text("refund_id"),
    _time("expires_at"),
    schema="payments",
)

dispute = Table(
    "dispute",
    metadata,
    Column("gateway_dispute_id", Text, primary_key=True),
    *map(_text, ("payment_id", "currency", "reason", "status")),
    *map(_amount, ("amount", "amount_withdrawn")),
    *(Column(name, Boolean) for name in ("closed", "charge_refundable", "reminded")),
    Column("movements", Integer),
    *map(_time, ("opened_at", "updated_at", "evidence_due_by")),
    schema="payments",
)

ledger_entry = Table(
    "ledger_entry",
    metadata,
    Column("entry_id", Uuid, primary_key=True),
    *map(_text, ("kind", "source", "gateway", "gateway_object", "payment_id", "order_id")),
    _time("posted_at"),
    schema="payments",
)

ledger_posting = Table(
    "ledger_posting",
    metadata,
    Column("entry_id", Uuid, primary_key=True),
    Column("number", SmallInteger, primary_key=True),
    *map(_text, ("account", "gateway", "currency")),
    _amount("amount"),
    _time("posted_at"),
    schema="payments",
)

balance_transaction = Table(
    "balance_transaction",
    metadata,
    Column("gateway", Text, primary_key=True),
    Column("transaction_id", Text, primary_key=True),
    *map(_text, ("type", "source_id", "currency", "description")),
    *map(_amount, ("amount", "fee")),
    Column("exchange_rate", Numeric),
    *map(_time, ("created_at", "available_at", "checked_at")),
    Column("explained", Boolean),
    schema="payments",
)

balance_cursor = Table(
    "balance_cursor",
    metadata,
    Column("gateway", Text, primary_key=True),
    _time("created_until"),
    schema="payments",
)

operation = Table(
    "operation",
    metadata,
    Column("operation_id", Text, primary_key=True),
    *map(_text, ("payment_id", "gateway", "refund_id", "kind", "status", "error", "requested_by", "actor")),
    Column("request", JSONB),
    _amount("target_amount"),
    Column("payment_version", Integer),
    Column("checks", Integer),
    *map(_time, ("created_at", "next_check_at", "finished_at")),
    schema="payments",
)

customer = Table(
    "customer",
    metadata,
    Column("gateway", Text, primary_key=True),
    Column("user_id", Text, primary_key=True),
    _text("gateway_customer_id"),
    schema="payments",
)

webhook_event = Table(
    "webhook_event",
    metadata,
    Column("gateway", Text, primary_key=True),
    Column("event_id", Text, primary_key=True),
    *map(_text, ("type", "intent_id", "payment_id", "outcome")),
    Column("is_known", Boolean),
    *map(_time, ("created_at", "received_at")),
    Column("body", LargeBinary),
    schema="payments",
)

orders = Table(
    "orders",
    metadata,
    Column("order_id", Text, primary_key=True),
    *map(_text, ("user_id", "currency", "status", "attention")),
    *map(_amount, ("shipping_amount", "total_amount", "amount_paid", "amount_refunded")),
    *(
        Column(name, JSONB)
        for name in ("lines", "customer", "metadata", "payments", "refunds", "cancellation", "attentions")
    ),
    *map(_time, ("created_at", "updated_at", "confirmed_at", "accepted_at", "fulfilled_at")),
    Column("reserved", JSONB(none_as_null=True)),
    Column("version", Integer),
    schema="orders",
)

history = Table(
    "history",
    metadata,
    Column("order_id", Text, primary_key=True),
    Column("position", BigInteger, primary_key=True),
    _time("at"),
    Column("entry", JSONB),
    schema="orders",
)

attempt = Table(
    "attempt",
    metadata,
    Column("attempt_id", Text, primary_key=True),
    *map(_text, ("order_id", "kind", "return_url", "capture_method", "payment_id", "payment_method_token")),
    *map(_text, ("status", "error", "setup_future_usage", "reason", "requested_by", "requested_scope")),
    *map(_time, ("created_at", "next_check_at")),
    *(Column(name, Boolean) for name in ("off_session", "gives_way")),
    _amount("amount"),
    schema="orders",
)

inventory = Table(
    "inventory",
    metadata,
    Column("sku", Text, primary_key=True),
    *map(_amount, ("on_hand", "reserved")),
    _time("updated_at"),
    Column("version", Integer),
    schema="orders",
)

webhook_endpoint = Table(
    "webhook_endpoint",
    metadata,
    Column("endpoint_id", Text, primary_key=True),
    *map(_text, ("url", "description", "secret", "previous_secret", "disabled_reason", "rotated_by")),
    Column("event_types", JSONB),
    *map(_time, ("created_at", "updated_at", "deleted_at", "disabled_at", "failing_since", "paused_until")),
    _time("previous_secret_until"),
    schema="orders",
)

webhook_delivery = Table(
    "webhook_delivery",
    metadata,
    Column("delivery_id", Text, primary_key=True),
    *map(_text, ("endpoint_id", "event_id", "event_type", "order_id", "body", "status")),
    Column("tries", Integer),
    Column("attempts", JSONB),
    *map(_time, ("created_at", "due_at", "finished_at")),
    schema="orders",
)

finding = Table(
    "finding",
    metadata,
    Column("finding_id", Text, primary_key=True),
    *map(_text, ("type", "object_id", "gateway", "payment_id", "order_id", "note", "action", "status")),
    *map(_text, ("settled_by", "comment")),
    Column("expected", JSONB),
    Column("found", JSONB),
    Column("tries", Integer),
    *map(_time, ("first_seen", "last_seen", "closed_at")),
    schema="reconciliation",
)
