"""The history of orders: rows that are only ever inserted."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import msgspec

from adapters.postgres import tables
from adapters.postgres.transaction import AFTER, Transaction, Write
from domain.orders.history import Entry, Recorded

_NAMES = tuple(field.name for field in fields(Entry))
_decode = msgspec.json.Decoder(Entry).decode


_INSERT = f"""
    INSERT INTO {tables.history.fullname} (order_id, entry)
    SELECT order_id, entry::jsonb FROM unnest($1::text[], $2::text[]) AS e (order_id, entry) WHERE {AFTER}
"""


def written(entries: Iterable[tuple[str, Entry]]) -> list[Write]:
    """Entries with the ids of their orders, to travel with what they tell of; positions are drawn in this order."""
    order_ids, encoded = [], []
    for order_id, entry in entries:
        order_ids.append(order_id)
        encoded.append(encode(entry))
    return [Write("history", _INSERT, (order_ids, encoded))] if encoded else []


def encode(entry: Entry) -> str:
    values = {name: value for name in _NAMES if (value := getattr(entry, name)) is not None}
    return msgspec.json.encode(values).decode()


@dataclass(frozen=True, slots=True)
class PostgresHistory:
    transaction: Transaction

    async def append(self, order_id: str, entry: Entry) -> None:
        await (await self.transaction.locking()).execute(_APPEND, order_id, encode(entry))

    async def of(self, order_id: str, *, after: int = 0, limit: int) -> Sequence[Recorded]:
        driver = await self.transaction.reading()
        return [_read(row) for row in await driver.fetch(_OF, order_id, after, limit)]

    async def behind(self, positions: Mapping[str, int], *, limit: int) -> Sequence[Recorded]:
        driver = await self.transaction.reading()
        found = await driver.fetch(_BEHIND, list(positions), list(positions.values()), limit)
        return [_read(row) for row in found]


def _read(row: Mapping[str, Any]) -> Recorded:
    return Recorded(
        order_id=row["order_id"], position=row["position"], at=row["at"], entry=_decode(row["entry"])
    )


# The position is drawn once the order's row is locked: whoever locks it next draws a later one.
_APPEND = f"""
    INSERT INTO {tables.history.fullname} (order_id, entry)
    SELECT order_id, $2::text::jsonb
    FROM (SELECT order_id FROM {tables.orders.fullname} WHERE order_id = $1 FOR UPDATE) AS locked
"""
_OF = f"""
    SELECT order_id, position, at, entry::text FROM {tables.history.fullname}
    WHERE order_id = $1 AND position > $2 ORDER BY position LIMIT $3
"""
_BEHIND = f"""
    SELECT found.* FROM unnest($1::text[], $2::bigint[]) AS wanted (id, after)
    CROSS JOIN LATERAL (
        SELECT order_id, position, at, entry::text FROM {tables.history.fullname}
        WHERE order_id = wanted.id AND position > wanted.after ORDER BY position LIMIT $3
    ) AS found
"""
