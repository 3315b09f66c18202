"""Which columns hold sealed values, and how a value is sealed for its place and opened there.

A column keeps its type: in jsonb lies a JSON string, in text the text, in bytea its ASCII bytes. What an
older release wrote there plainly is read as it is, until `payonce keys rotate-data` has sealed it.
docs/personal-data.md says why each column is here, or is not.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from adapters.postgres.sealing import OWN, PREFIX, RecordKey, Vault, key_of

Lying = str | bytes
"""A value as it travels: bytes of a bytea, else its text."""

DATA_KEY = "data_key"
"""The column of a select that holds the wrapped data key of a row's record."""
DESTROYED = ""
"""What stands there where the key was destroyed."""


@dataclass(frozen=True, slots=True)
class SealedTable:
    """The columns of a table that hold sealed values. `key` names each row, and with it each value's place."""

    name: str
    key: tuple[str, ...]
    shared: tuple[str, ...] = ()
    """Of text or bytea, sealed under the key-encryption key: secrets, and what belongs to nobody's record when it comes."""
    own: tuple[str, ...] = ()
    """Sealed under the data key of the record that `record` names; all of them are jsonb."""
    record: str = ""
    blank: Mapping[str, str] = field(default_factory=dict)
    """What stands for a value whose data key was destroyed, as JSON; else null."""

    @property
    def schema(self) -> str:
        return self.name.partition(".")[0]

    @property
    def columns(self) -> tuple[str, ...]:
        return (*self.own, *self.shared)

    def seal(
        self, vault: Vault, column: str, row: Mapping[str, Any], value: Lying, own: RecordKey | None = None
    ) -> Lying:
        """`row` has the key's columns. Without its record's own key the key-encryption key seals it."""
        plain = value if isinstance(value, bytes) else value.encode()
        key = own if column in self.own else None
        sealed = vault.seal(self._place(column, row), plain, key)
        if isinstance(value, bytes):
            return sealed.encode()
        return f'"{sealed}"' if column in self.own else sealed

    def open(self, vault: Vault, column: str, row: Mapping[str, Any], value: Lying) -> Lying | None:
        """What was sealed; what lies there plainly is the answer itself, None what nobody can read any more.

        Raises StoredDataUnreadable.
        """
        if not is_sealed(value):
            return value
        sealed = value.decode("ascii", "replace") if isinstance(value, bytes) else value.strip('"')
        own = None
        if key_of(sealed) == OWN:
            wrapped = row.get(DATA_KEY)
            if wrapped == DESTROYED:
                return self.blank.get(column)
            own = vault.unwrap(self.schema, row[self.record], wrapped) if wrapped else None
        plain = vault.open(self._place(column, row), sealed, own)
        return plain if isinstance(value, bytes) else plain.decode()

    def _place(self, column: str, row: Mapping[str, Any]) -> str:
        names = (row[name] for name in self.key)
        return f"{self.name}.{column}:" + "\0".join(
            name.hex() if isinstance(name, bytes) else str(name) for name in names
        )


ORDERS = SealedTable(
    "orders.orders", ("order_id",), own=("customer", "metadata"), record="order_id", blank={"metadata": "{}"}
)
ATTEMPTS = SealedTable("orders.attempt", ("attempt_id",), shared=("return_url", "payment_method_token"))
ENDPOINTS = SealedTable(
    "orders.webhook_endpoint", ("endpoint_id",), shared=("url", "secret", "previous_secret")
)
DELIVERIES = SealedTable("orders.webhook_delivery", ("delivery_id",), shared=("body",))
PAYMENTS = SealedTable("payments.payment", ("payment_id",), shared=("client_secret", "description"))
OPERATIONS = SealedTable(
    "payments.operation",
    ("operation_id",),
    shared=("error",),
    own=("request",),
    record="payment_id",
    blank={"request": '{"path":"","params":{}}'},
)
WEBHOOKS = SealedTable("payments.webhook_event", ("gateway", "event_id"), shared=("body",))
ANSWERS = {
    schema: SealedTable(f"{schema}.idempotency_key", ("owner", "key"), shared=("body",))
    for schema in ("orders", "payments")
}

SEALED = (
    *(ORDERS, ATTEMPTS, ENDPOINTS, DELIVERIES, ANSWERS["orders"]),
    *(PAYMENTS, OPERATIONS, WEBHOOKS, ANSWERS["payments"]),
)


def is_sealed(value: str | bytes) -> bool:
    """Of a value as it lies in its column, or as the text of a jsonb column."""
    if isinstance(value, bytes):
        return value.startswith(PREFIX.encode())
    return value.startswith((PREFIX, f'"{PREFIX}'))
