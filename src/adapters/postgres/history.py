"""The history of orders: rows that are only ever inserted."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.postgres import tables
from domain.orders.history import Entry, Recorded
from outbox.database import driver_of

_NAMES = tuple(field.name for field in fields(Entry))
_decode = msgspec.json.Decoder(Entry).decode


def beside(statement: str, last: int) -> str:
    """The statement, whose parameters end with number `last`, with entries inserted by the two after that:
    arrays of order ids and of entries as JSON. One round trip for both, and positions in the order given."""
    return f"""
        WITH business AS ({statement}) INSERT INTO {tables.history.fullname} (order_id, entry)
        SELECT order_id, entry::jsonb FROM unnest(${last + 1}::text[], ${last + 2}::text[]) AS e (order_id, entry)
    """


def encode(entry: Entry) -> str:
    values = {name: value for name in _NAMES if (value := getattr(entry, name)) is not None}
    return msgspec.json.encode(values).decode()


def columns_of(entries: Iterable[tuple[str, Entry]]) -> tuple[list[str], list[str]]:
    """The parameters of `beside`: of entries with the ids of their orders."""
    order_ids, encoded = [], []
    for order_id, entry in entries:
        order_ids.append(order_id)
        encoded.append(encode(entry))
    return order_ids, encoded


@dataclass(frozen=True, slots=True)
class PostgresHistory:
    connection: AsyncConnection

    async def append(self, order_id: str, entry: Entry) -> None:
        await (await driver_of(self.connection)).execute(_APPEND, order_id, encode(entry))

    async def of(self, order_id: str, *, after: int = 0, limit: int) -> Sequence[Recorded]:
        driver = await driver_of(self.connection)
        rows = await driver.fetch(_OF, order_id, after, limit)
        return [
            Recorded(order_id=order_id, position=row["position"], at=row["at"], entry=_decode(row["entry"]))
            for row in rows
        ]


# The position is drawn once the order's row is locked: whoever locks it next draws a later one.
_APPEND = f"""
    INSERT INTO {tables.history.fullname} (order_id, entry)
    SELECT order_id, $2::text::jsonb
    FROM (SELECT order_id FROM {tables.orders.fullname} WHERE order_id = $1 FOR UPDATE) AS locked
"""
_OF = f"""
    SELECT position, at, entry::text FROM {tables.history.fullname}
    WHERE order_id = $1 AND position > $2 ORDER BY position LIMIT $3
"""
