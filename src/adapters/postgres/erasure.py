"""Personal data in the tables of each service, and how it is taken out of them for good.

What is sealed under a record's own key is lost with the key; the rest is blanked. Rows stay, with all that
tells of money.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from adapters.postgres import history
from adapters.postgres.sealed_columns import ANSWERS, WEBHOOKS
from adapters.postgres.transaction import Transaction, alone
from domain.orders import erasure as of_orders
from domain.orders.history import requested
from domain.orders.status import OrderStatus
from domain.payments import erasure as of_payments
from domain.payments.gateway import IntentStatus
from domain.shared.callers import Caller
from domain.shared.erasure import ERASED_ANSWER, Person, PersonalRecord, Unfiled

PAGE = 500

_NAMED = re.compile(rb'"(?:orderId|paymentId)":"([^"\\]+)"')

_DESTROY = """
    INSERT INTO {schema}.data_key AS kept (record, wrapped, erased_at)
    SELECT record, NULL, now() FROM unnest($1::text[]) AS r (record)
    ON CONFLICT (record) DO UPDATE SET wrapped = NULL, erased_at = now() WHERE kept.wrapped IS NOT NULL
"""
_ANSWERS = """
    SELECT owner, key, body FROM {schema}.idempotency_key
    WHERE (owner, key) > ($1::bytea, $2::text) AND status <> {gone}
    ORDER BY owner, key LIMIT $3 FOR UPDATE
"""
_BLANK_ANSWER = """
    UPDATE {schema}.idempotency_key SET status = {gone}, headers = '[]', body = $3 WHERE owner = $1 AND key = $2
"""


@dataclass(frozen=True, slots=True)
class _Answers:
    """Kept answers are their caller's, who may act for many: so each is opened, to see whom it speaks of."""

    transaction: Transaction
    schema: str

    async def blank(self, records: Sequence[str], after: str) -> tuple[int, str | None]:
        """A page of them: how many were blanked, and where the next page begins."""
        sealed, vault, wanted = (
            ANSWERS[self.schema],
            self.transaction.vault,
            {one.encode() for one in records},
        )
        driver = await self.transaction.locking()
        owner, _, key = after.partition(" ")
        names = {"schema": self.schema, "gone": ERASED_ANSWER.status}
        rows = await driver.fetch(_ANSWERS.format(**names), bytes.fromhex(owner), key, PAGE)
        count = 0
        for row in rows:
            named = dict(row)
            body: Any = sealed.open(vault, "body", named, row["body"])
            if wanted.isdisjoint(_NAMED.findall(body)):
                continue
            blank = sealed.seal(vault, "body", named, ERASED_ANSWER.body)
            await driver.execute(_BLANK_ANSWER.format(**names), row["owner"], row["key"], blank)
            count += 1
        last = rows[-1] if len(rows) == PAGE else None
        return count, f"{last['owner'].hex()} {last['key']}" if last else None


@dataclass(frozen=True, slots=True)
class PostgresOrderPersons:
    transaction: Transaction

    async def of(self, person: Person) -> Sequence[PersonalRecord]:
        rows = await (await self.transaction.locking()).fetch(_ORDERS_OF, person.user_id, person.order_id)
        return [
            PersonalRecord(
                record_id=row["order_id"],
                obstacle=of_orders.obstacle(
                    OrderStatus(row["status"]),
                    is_canceling=row["is_canceling"],
                    is_taken_on=row["is_taken_on"],
                    has_open_attempt=row["has_open_attempt"],
                    is_undelivered=row["is_undelivered"],
                ),
                is_erased=row["is_erased"],
            )
            for row in rows
        ]

    async def erase(self, person: Person, records: Sequence[str], caller: Caller) -> Mapping[str, int]:
        driver, ids = await self.transaction.locking(), list(records)
        counts = {
            "orders": _count(await driver.execute(_BLANK_ORDERS, ids)),
            "data keys": _count(await driver.execute(_DESTROY.format(schema="orders"), ids)),
            "payment attempts": _count(await driver.execute(_BLANK_ATTEMPTS, ids)),
            "requests to the warehouse": _count(await driver.execute(_DROP_DELIVERIES, ids)),
        }
        entries = ((one, requested("erase", None, caller)) for one in records)
        for write in history.written(entries):
            await driver.execute(alone(write.statement), *write.values)
        return counts

    async def erase_unfiled(self, person: Person, records: Sequence[str], *, after: str | None) -> Unfiled:
        count, following = await _Answers(self.transaction, "orders").blank(records, after or "")
        return Unfiled({"kept answers": count}, following)


_ORDERS_OF = """
    SELECT o.order_id, o.status, o.cancellation IS NOT NULL AND o.status <> 'CANCELED' AS is_canceling,
        o.accepted_at IS NOT NULL OR o.fulfilled_at IS NOT NULL AS is_taken_on,
        EXISTS (SELECT FROM orders.attempt AS a
            WHERE a.order_id = o.order_id AND a.status = 'STARTED') AS has_open_attempt,
        EXISTS (SELECT FROM orders.webhook_delivery AS d WHERE d.order_id = o.order_id
            AND d.event_type = 'FulfilmentRequested' AND d.status = 'PENDING') AS is_undelivered,
        EXISTS (SELECT FROM orders.data_key AS k
            WHERE k.record = o.order_id AND k.wrapped IS NULL) AS is_erased
    FROM orders.orders AS o
    WHERE o.user_id = $1 OR ($2::text IS NOT NULL AND o.order_id = $2 AND o.user_id IS NULL)
    ORDER BY o.order_id FOR UPDATE OF o
"""
_BLANK_ORDERS = """
    UPDATE orders.orders SET customer = NULL, metadata = '{}', version = version + 1
    WHERE order_id = ANY ($1::text[])
"""
_BLANK_ATTEMPTS = """
    UPDATE orders.attempt SET return_url = NULL, payment_method_token = NULL
    WHERE order_id = ANY ($1::text[]) AND num_nonnulls(return_url, payment_method_token) > 0
"""
# A finished one, which nobody is to send again without its address; events of payments name nobody.
_DROP_DELIVERIES = """
    DELETE FROM orders.webhook_delivery WHERE order_id = ANY ($1::text[]) AND event_type = 'FulfilmentRequested'
"""


@dataclass(frozen=True, slots=True)
class PostgresPaymentPersons:
    transaction: Transaction

    async def of(self, person: Person) -> Sequence[PersonalRecord]:
        rows = await (await self.transaction.locking()).fetch(_PAYMENTS_OF, person.user_id, person.order_id)
        return [
            PersonalRecord(
                record_id=row["payment_id"],
                obstacle=of_payments.obstacle(
                    IntentStatus(row["status"]), has_open_operation=row["has_open_operation"]
                ),
                is_erased=row["is_erased"],
            )
            for row in rows
        ]

    async def erase(self, person: Person, records: Sequence[str], caller: Caller) -> Mapping[str, int]:
        driver, ids = await self.transaction.locking(), list(records)
        return {
            "payments": _count(await driver.execute(_BLANK_PAYMENTS, ids)),
            "data keys": _count(await driver.execute(_DESTROY.format(schema="payments"), ids)),
            "requests to the gateway": _count(await driver.execute(_BLANK_OPERATIONS, ids)),
            "webhooks": _count(await driver.execute(_BLANK_WEBHOOKS, ids)),
        }

    async def erase_unfiled(self, person: Person, records: Sequence[str], *, after: str | None) -> Unfiled:
        table, _, place = (after or "answers:").partition(":")
        if table == "answers":
            count, following = await _Answers(self.transaction, "payments").blank(records, place)
            return Unfiled(
                {"kept answers": count}, "webhooks:" if following is None else f"answers:{following}"
            )
        count, following = await self._blank_webhooks(person, records, place)
        return Unfiled({"webhooks": count}, following and f"webhooks:{following}")

    async def _blank_webhooks(
        self, person: Person, records: Sequence[str], after: str
    ) -> tuple[int, str | None]:
        """Of those that belong to no payment of ours, those that name one of these, or the gateway's customer."""
        driver, vault = await self.transaction.locking(), self.transaction.vault
        theirs = [row[0] for row in await driver.fetch(_GATEWAY_CUSTOMERS, person.user_id, list(records))]
        names = [f'"{name}"'.encode() for name in (*theirs, *records, person.subject)]
        gateway, _, event_id = after.partition(" ")
        rows = await driver.fetch(_UNFILED_WEBHOOKS, gateway, event_id, PAGE)
        count = 0
        for row in rows:
            body: Any = WEBHOOKS.open(vault, "body", dict(row), row["body"])
            if any(name in body for name in names):
                await driver.execute(_BLANK_WEBHOOK, row["gateway"], row["event_id"])
                count += 1
        last = rows[-1] if len(rows) == PAGE else None
        return count, f"{last['gateway']} {last['event_id']}" if last else None


_PAYMENTS_OF = """
    SELECT p.payment_id, p.status,
        EXISTS (SELECT FROM payments.operation AS o
            WHERE o.payment_id = p.payment_id AND o.status IN ('STARTED', 'UNKNOWN')) AS has_open_operation,
        EXISTS (SELECT FROM payments.data_key AS k
            WHERE k.record = p.payment_id AND k.wrapped IS NULL) AS is_erased
    FROM payments.payment AS p
    WHERE p.user_id = $1 OR ($2::text IS NOT NULL AND p.order_id = $2 AND p.user_id IS NULL)
    ORDER BY p.payment_id FOR UPDATE OF p
"""
_BLANK_PAYMENTS = """
    UPDATE payments.payment SET description = NULL, client_secret = NULL, next_action = NULL
    WHERE payment_id = ANY ($1::text[])
"""
_BLANK_OPERATIONS = """
    UPDATE payments.operation SET request = '{"path": "", "params": {}}', error = NULL
    WHERE payment_id = ANY ($1::text[])
"""
_BLANK_WEBHOOKS = """
    UPDATE payments.webhook_event SET body = NULL WHERE payment_id = ANY ($1::text[]) AND body IS NOT NULL
"""
_UNFILED_WEBHOOKS = """
    SELECT gateway, event_id, body FROM payments.webhook_event
    WHERE (gateway, event_id) > ($1::text, $2::text) AND payment_id IS NULL AND body IS NOT NULL
    ORDER BY gateway, event_id LIMIT $3 FOR UPDATE
"""
_BLANK_WEBHOOK = "UPDATE payments.webhook_event SET body = NULL WHERE gateway = $1 AND event_id = $2"
_GATEWAY_CUSTOMERS = """
    SELECT gateway_customer_id FROM payments.customer WHERE user_id = $1
    UNION SELECT gateway_customer_id FROM payments.payment
    WHERE payment_id = ANY ($2::text[]) AND gateway_customer_id IS NOT NULL
"""


def _count(done: str) -> int:
    return int(done.rpartition(" ")[2])
