"""Sealing anew, under the newest key, what older keys have sealed, and what an older release left plain.

In batches by primary key, each a short transaction that locks its rows, beside running processes: whatever
they write meanwhile they seal themselves. A pass that is cut off loses nothing: the next one passes over what
is done. Two passes in a row are needed to know that an older key is needed by nothing, for a process that has
not seen the new key yet may seal behind the first.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres.engine import driver_under, vault_of
from adapters.postgres.sealed_columns import DATA_KEY, DESTROYED, SEALED, SealedTable, is_sealed
from adapters.postgres.sealing import OWN, StoredDataUnreadable, Vault, key_of

BATCH = 200


@dataclass(slots=True)
class Rotated:
    """What one batch of a table came to; `rows` are those that it looked at."""

    table: str
    rows: int = 0
    sealed: int = 0
    """Values that were sealed anew, or wrapped."""
    unreadable: list[str] = field(default_factory=list)
    """Rows with a value that no key here opens: it stays as it is."""


@dataclass(frozen=True, slots=True)
class DataRotation:
    """Of one service's database."""

    engine: AsyncEngine
    schema: str

    async def run(self) -> AsyncIterator[Rotated]:
        """One pass over everything, a batch at a time."""
        async for batch in self._wrap_keys():
            yield batch
        for sealed in SEALED:
            if sealed.schema == self.schema:
                async for batch in self._seal(sealed):
                    yield batch

    async def _wrap_keys(self) -> AsyncIterator[Rotated]:
        vault, place = vault_of(self.engine), ""
        while True:
            batch = Rotated(f"{self.schema}.data_key")
            async with self._transaction() as driver:
                rows = await driver.fetch(_KEYS.format(schema=self.schema), place, BATCH)
                changed: dict[str, str] = {}
                for row in rows:
                    try:
                        if key_of(row["wrapped"]) != vault.keys.newest[0]:
                            changed[row["record"]] = vault.rewrap(self.schema, row["record"], row["wrapped"])
                    except StoredDataUnreadable:
                        batch.unreadable.append(row["record"])
                await driver.execute(
                    _WRAP.format(schema=self.schema), list(changed.keys()), list(changed.values())
                )
            batch.rows, batch.sealed = len(rows), len(changed)
            yield batch
            if len(rows) < BATCH:
                return
            place = rows[-1]["record"]

    async def _seal(self, sealed: SealedTable) -> AsyncIterator[Rotated]:
        vault = vault_of(self.engine)
        select, update = _select_of(sealed), _update_of(sealed)
        place: Sequence[Any] | None = None
        while True:
            batch = Rotated(sealed.name)
            async with self._transaction() as driver:
                rows = await driver.fetch(select[place is not None], BATCH, *(place or ()))
                changed: list[tuple[Any, ...]] = []
                for row in rows:
                    try:
                        values = await self._renewed(driver, vault, sealed, dict(row))
                    except StoredDataUnreadable:
                        batch.unreadable.append(" ".join(str(row[name]) for name in sealed.key))
                        continue
                    if values is not None:
                        changed.append((*values, *(row[name] for name in sealed.key)))
                await driver.executemany(update, changed)
            batch.rows, batch.sealed = len(rows), len(changed)
            yield batch
            if len(rows) < BATCH:
                return
            place = [rows[-1][name] for name in sealed.key]

    async def _renewed(
        self, driver: "asyncpg.Connection[Any]", vault: Vault, sealed: SealedTable, row: dict[str, Any]
    ) -> list[Any] | None:
        """The row's sealed columns as they are to lie there; None where they do already."""
        newest = vault.keys.newest[0]
        old = {
            name: row[name]
            for name in sealed.columns
            if row[name] is not None and _key_of(row[name]) not in (OWN, newest)
        }
        if sealed.own and row[DATA_KEY] == DESTROYED:  # what stands there is blank, and stays so
            old = {name: value for name, value in old.items() if is_sealed(value) or name in sealed.shared}
        if not old:
            return None
        own = None
        if any(name in sealed.own and not is_sealed(value) for name, value in old.items()):
            own = await self._key(driver, vault, row[sealed.record], row[DATA_KEY])
        for name, value in old.items():
            opened = sealed.open(vault, name, row, value)
            assert opened is not None, "only a destroyed key leaves nothing"
            row[name] = sealed.seal(vault, name, row, opened, None if is_sealed(value) else own)
        return [row[name] for name in sealed.columns]

    async def _key(
        self, driver: "asyncpg.Connection[Any]", vault: Vault, record: str, wrapped: str | None
    ) -> Any:
        """The record's own key, made where an older release has made none."""
        if wrapped is None:
            made = vault.new_key(self.schema, record).wrapped
            wrapped = await driver.fetchval(_MAKE.format(schema=self.schema), record, made)
        return vault.unwrap(self.schema, record, wrapped or "")

    @asynccontextmanager
    async def _transaction(self) -> "AsyncIterator[asyncpg.Connection[Any]]":
        async with self.engine.begin() as connection:
            yield driver_under(connection)


def _key_of(value: str | bytes) -> str | None:
    """Which key has sealed it; None where it lies plainly."""
    if not is_sealed(value):
        return None
    return key_of(value.decode("ascii", "replace") if isinstance(value, bytes) else value)


def _select_of(sealed: SealedTable) -> Mapping[bool, str]:
    """Of a batch: the first one, and each behind a key."""
    columns = [f"t.{name}" for name in (*sealed.key, *sealed.shared)]
    columns += [f"t.{name}::text AS {name}" for name in sealed.own]
    if sealed.own:
        key = f"SELECT coalesce(wrapped, '') FROM {sealed.schema}.data_key WHERE record = t.{sealed.record}"
        columns += [f"({key}) AS {DATA_KEY}"]
        if sealed.record not in sealed.key:
            columns += [f"t.{sealed.record}"]
    keys = ", ".join(f"t.{name}" for name in sealed.key)
    marks = ", ".join(f"${number}" for number in range(2, len(sealed.key) + 2))
    query = (
        f"SELECT {', '.join(columns)} FROM {sealed.name} AS t {{}} ORDER BY {keys} LIMIT $1 FOR UPDATE OF t"
    )
    return {False: query.format(""), True: query.format(f"WHERE ({keys}) > ({marks})")}


def _update_of(sealed: SealedTable) -> str:
    changes = [
        f"{name} = ${number}{'::text::jsonb' if name in sealed.own else ''}"
        for number, name in enumerate(sealed.columns, 1)
    ]
    first = len(sealed.columns) + 1
    where = [f"{name} = ${number}" for number, name in enumerate(sealed.key, first)]
    return f"UPDATE {sealed.name} SET {', '.join(changes)} WHERE {' AND '.join(where)}"


_KEYS = """
    SELECT record, wrapped FROM {schema}.data_key WHERE record > $1 AND wrapped IS NOT NULL
    ORDER BY record LIMIT $2 FOR UPDATE
"""
_WRAP = """
    UPDATE {schema}.data_key AS kept SET wrapped = new.wrapped
    FROM unnest($1::text[], $2::text[]) AS new (record, wrapped) WHERE kept.record = new.record
"""
_MAKE = """
    INSERT INTO {schema}.data_key AS kept (record, wrapped) VALUES ($1, $2)
    ON CONFLICT (record) DO UPDATE SET wrapped = kept.wrapped RETURNING wrapped
"""
