"""The ledger's rows: inserted once, read by their indexes."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import text

from adapters.postgres import tables
from adapters.postgres.transaction import AFTER, Transaction, Write
from domain.payments.ledger import Account, AccountBalance, LedgerEntry, Posting
from domain.payments.ledger_ports import AlreadyPosted, EntryFilter, PaymentBooks

_ENTRY = tables.ledger_entry.fullname
_POSTING = tables.ledger_posting.fullname

_INSERT_ENTRIES = f"""
    INSERT INTO {_ENTRY} (entry_id, kind, source, gateway, gateway_object, payment_id, order_id, posted_at)
    SELECT * FROM unnest(
        $1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::timestamptz[]
    ) WHERE {AFTER}
"""
_INSERT_POSTINGS = f"""
    INSERT INTO {_POSTING} (entry_id, number, account, gateway, currency, amount, posted_at)
    SELECT * FROM unnest(
        $1::uuid[], $2::smallint[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::timestamptz[]
    ) WHERE {AFTER}
"""
_REFUSALS = {"ledger_entry_source": AlreadyPosted}


def posted(entries: Sequence[LedgerEntry]) -> list[Write]:
    """Entries, to travel with the state that they tell of."""
    if not entries:
        return []
    of_entries = [
        (e.entry_id, e.kind, e.source, e.gateway, e.gateway_object, e.payment_id, e.order_id, e.posted_at)
        for e in entries
    ]
    of_postings = [
        (e.entry_id, number, posting.account, e.gateway, posting.currency, posting.amount, e.posted_at)
        for e in entries
        for number, posting in enumerate(e.postings, 1)
    ]
    return [
        Write("ledger entries", _INSERT_ENTRIES, _columns(of_entries), _REFUSALS),
        Write("ledger postings", _INSERT_POSTINGS, _columns(of_postings)),
    ]


def _columns(rows: Iterable[tuple[Any, ...]]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]


_SELECT = f"""
    SELECT e.entry_id, e.kind, e.source, e.gateway, e.gateway_object, e.payment_id, e.order_id, e.posted_at,
        (SELECT json_agg(json_build_array(p.account, p.currency, p.amount) ORDER BY p.number)::text
         FROM {_POSTING} AS p WHERE p.entry_id = e.entry_id) AS postings
    FROM {_ENTRY} AS e
"""
_decode_postings = msgspec.json.Decoder(list[tuple[Account, str, int]]).decode


def _entry(row: Mapping[str, Any]) -> LedgerEntry:
    postings = [Posting(*values) for values in _decode_postings(row["postings"] or "[]")]
    return msgspec.convert({**row, "postings": postings}, LedgerEntry)


_BALANCES = f"""
    SELECT account, gateway, currency,
        coalesce(sum(amount) FILTER (WHERE amount > 0), 0)::bigint AS debits,
        coalesce(-sum(amount) FILTER (WHERE amount < 0), 0)::bigint AS credits
    FROM {_POSTING}
    WHERE ($1::timestamptz IS NULL OR posted_at < $1) AND ($2::text IS NULL OR account = $2)
        AND ($3::text IS NULL OR currency = $3)
    GROUP BY account, gateway, currency ORDER BY account, gateway, currency
"""

# A payment's disputes and refunds are few, and found by their indexes; so are its entries.
_PAYMENT_BOOKS = f"""
    SELECT p.payment_id, p.order_id, p.gateway, p.currency, p.amount_captured AS captured,
        p.amount_refunded AS refunded, coalesce(d.withdrawn, 0)::bigint AS disputed,
        coalesce(l.captured, 0)::bigint AS ledger_captured, coalesce(l.refunded, 0)::bigint AS ledger_refunded,
        coalesce(l.disputed, 0)::bigint AS ledger_disputed
    FROM {tables.payment.fullname} AS p
    LEFT JOIN LATERAL (
        SELECT sum(amount_withdrawn) AS withdrawn FROM {tables.dispute.fullname} AS d
        WHERE d.payment_id = p.payment_id
    ) AS d ON true
    LEFT JOIN LATERAL (
        SELECT -sum(amount) FILTER (WHERE account = 'revenue') AS captured,
            sum(amount) FILTER (WHERE account = 'refunds') AS refunded,
            sum(amount) FILTER (WHERE account = 'disputes') AS disputed
        FROM {_ENTRY} AS e JOIN {_POSTING} USING (entry_id) WHERE e.payment_id = p.payment_id
    ) AS l ON true
    WHERE ($1::text IS NULL OR p.payment_id > $1)
    ORDER BY p.payment_id LIMIT $2
"""

_UNBALANCED = f"""
    SELECT e.entry_id FROM {_ENTRY} AS e LEFT JOIN LATERAL (
        SELECT currency, sum(amount) AS total FROM {_POSTING} AS p WHERE p.entry_id = e.entry_id GROUP BY currency
    ) AS p ON true
    WHERE p.total IS NULL OR p.total <> 0 LIMIT $1
"""


@dataclass(frozen=True, slots=True)
class PostgresLedger:
    transaction: Transaction

    async def post(self, entries: Sequence[LedgerEntry]) -> None:
        await self.transaction.write(*posted(entries))

    async def balances(
        self, *, before: datetime | None = None, account: Account | None = None, currency: str | None = None
    ) -> Sequence[AccountBalance]:
        driver = await self.transaction.reading()
        rows = await driver.fetch(_BALANCES, before, account, currency)
        return [msgspec.convert(dict(row), AccountBalance) for row in rows]

    async def find(
        self, wanted: EntryFilter, *, after: tuple[datetime, UUID] | None, limit: int
    ) -> Sequence[LedgerEntry]:
        places, values = _places(wanted, after)
        statement = f"{_SELECT} JOIN ({places} LIMIT {limit:d}) AS found USING (entry_id) ORDER BY e.posted_at, e.entry_id"
        found = await (await self.transaction.sqlalchemy()).execute(text(statement), values)
        return [_entry(dict(row)) for row in found.mappings()]

    async def of_objects(self, gateway: str, objects: Collection[str]) -> Sequence[LedgerEntry]:
        return await self._all("e.gateway_object = ANY($2::text[])", gateway, objects)

    async def of_sources(self, gateway: str, sources: Collection[str]) -> Sequence[LedgerEntry]:
        return await self._all("e.source = ANY($2::text[])", gateway, sources)

    async def _all(self, condition: str, gateway: str, names: Collection[str]) -> Sequence[LedgerEntry]:
        driver = await self.transaction.reading()
        statement = f"{_SELECT} WHERE e.gateway = $1 AND {condition} ORDER BY e.posted_at, e.entry_id"
        return [_entry(dict(row)) for row in await driver.fetch(statement, gateway, list(names))]

    async def payment_books(self, *, after: str | None, limit: int) -> Sequence[PaymentBooks]:
        driver = await self.transaction.reading()
        return [
            msgspec.convert(dict(row), PaymentBooks)
            for row in await driver.fetch(_PAYMENT_BOOKS, after, limit)
        ]

    async def unbalanced(self, *, limit: int) -> Sequence[UUID]:
        driver = await self.transaction.reading()
        return [row["entry_id"] for row in await driver.fetch(_UNBALANCED, limit)]


def _places(wanted: EntryFilter, after: tuple[datetime, UUID] | None) -> tuple[str, dict[str, Any]]:
    """A query for the ids of the wanted entries, in order, and its parameters: by the index that leads there soonest."""
    values: dict[str, Any] = {}
    conditions = ["true"]

    def where(condition: str, **given: Any) -> None:
        if any(value is not None for value in given.values()):
            conditions.append(condition)
            values.update(given)

    where("w.posted_at >= :since", since=wanted.since)
    where("w.posted_at < :until", until=wanted.until)
    if after is not None:
        where("(w.posted_at, w.entry_id) > (:after_time, :after_id)", after_time=after[0], after_id=after[1])
    if wanted.account is not None and wanted.order_id is None and wanted.payment_id is None:
        where("w.account = :account", account=wanted.account.value)
        where("w.currency = :currency", currency=wanted.currency)
        names = "w.posted_at, w.entry_id"
        return (
            f"SELECT DISTINCT {names} FROM {_POSTING} AS w WHERE {' AND '.join(conditions)} ORDER BY {names}",
            values,
        )
    where("w.payment_id = :payment_id", payment_id=wanted.payment_id)
    if wanted.order_id is not None:
        of_order = f"SELECT payment_id FROM {tables.payment.fullname} WHERE order_id = :order_id"
        where(f"w.payment_id IN ({of_order})", order_id=wanted.order_id)
    if wanted.account is not None or wanted.currency is not None:
        posting = (
            f"SELECT FROM {_POSTING} AS p WHERE p.entry_id = w.entry_id"
            " AND (CAST(:account AS text) IS NULL OR p.account = :account)"
            " AND (CAST(:currency AS text) IS NULL OR p.currency = :currency)"
        )
        conditions.append(f"EXISTS ({posting})")
        values |= {
            "account": wanted.account.value if wanted.account else None,
            "currency": wanted.currency,
        }
    chosen = " AND ".join(conditions)
    return (
        f"SELECT w.entry_id FROM {_ENTRY} AS w WHERE {chosen} ORDER BY w.posted_at, w.entry_id",
        values,
    )
