"""The order side's stock."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec

from adapters.postgres import tables
from adapters.postgres.rows import HotRows
from adapters.postgres.transaction import Transaction, alone
from domain.orders.stock import Shelf, StockChange, StockItem, summed


@dataclass(frozen=True, slots=True)
class PostgresStock:
    transaction: Transaction

    async def get(self, sku: str) -> StockItem | None:
        row = await (await self.transaction.reading()).fetchrow(_GET, sku)
        return _HOT.read(row) if row else None

    async def lock(self, skus: Collection[str]) -> Shelf:
        driver = await self.transaction.locking()
        return Shelf({row["sku"]: _HOT.read(row) for row in await driver.fetch(_LOCK, list(skus))})

    async def add(self, item: StockItem) -> bool:
        driver = await self.transaction.locking()
        done: str = await driver.execute(_ADD, *_HOT.values(item))
        return done == "INSERT 0 1"

    async def save(self, item: StockItem) -> None:
        item.version += 1
        await (await self.transaction.locking()).execute(_SAVE, *_HOT.values(item))

    async def note_restock(
        self, refund_id: str, order_id: str, goods: Mapping[str, int], now: datetime
    ) -> bool:
        driver = await self.transaction.locking()
        told = msgspec.json.encode(goods).decode()
        done: str = await driver.execute(_NOTE_RESTOCK, refund_id, order_id, told, now)
        return done == "INSERT 0 1"

    async def list(self, *, after: str | None, limit: int) -> Sequence[StockItem]:
        driver = await self.transaction.reading()
        return [_HOT.read(row) for row in await driver.fetch(_LIST, after or "", limit)]


async def move_stock(transaction: Transaction, changes: Iterable[StockChange], now: datetime) -> None:
    """Let the sums follow what orders reserve, release, consume and give back: one statement, or none."""
    sums = summed(changes)
    if sums:
        columns = zip(*((one.sku, one.on_hand, one.reserved) for one in sums), strict=True)
        await (await transaction.locking()).execute(_MOVE, *columns, now)


_HOT = HotRows(StockItem, tables.inventory)
_GET = f"{_HOT.select()} WHERE sku = $1"
_LOCK = f"{_HOT.select()} WHERE sku = ANY ($1::text[]) ORDER BY sku FOR UPDATE"
_ADD = f"{alone(_HOT.insert())} ON CONFLICT (sku) DO NOTHING"
_SAVE = alone(_HOT.update_one("sku"))
_LIST = f"{_HOT.select()} WHERE sku > $1 ORDER BY sku LIMIT $2"
_NOTE_RESTOCK = """
    INSERT INTO orders.restock (refund_id, order_id, goods, created_at) VALUES ($1, $2, $3::text::jsonb, $4)
    ON CONFLICT (refund_id) DO NOTHING
"""
# Locked in order first: an UPDATE alone takes its rows as its plan comes by them.
_MOVE = """
    WITH change AS (SELECT * FROM unnest($1::text[], $2::bigint[], $3::bigint[]) AS c (sku, on_hand, reserved)),
    locked AS (SELECT sku FROM orders.inventory WHERE sku = ANY ($1) ORDER BY sku FOR UPDATE)
    UPDATE orders.inventory AS old SET
        on_hand = old.on_hand + change.on_hand,
        reserved = old.reserved + change.reserved,
        version = old.version + 1,
        updated_at = greatest(old.updated_at, $4::timestamptz)
    FROM locked JOIN change USING (sku) WHERE old.sku = locked.sku
"""
