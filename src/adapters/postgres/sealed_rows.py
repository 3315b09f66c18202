"""Rows of which some columns are sealed on their way in and opened on their way out."""

from collections.abc import Mapping
from typing import Any, TypeVar

import asyncpg
import msgspec
from sqlalchemy import ColumnElement, Select, Table, func, select

from adapters.postgres import tables
from adapters.postgres.rows import HotRows, from_row
from adapters.postgres.sealed_columns import DATA_KEY, SealedTable, is_sealed
from adapters.postgres.sealing import RecordKey, Vault
from adapters.postgres.transaction import AFTER, Transaction, Write

T = TypeVar("T")


class SealedRows(HotRows[T]):
    """Its rows are written by `sealed` and read by `opened`; `opened_mapping` reads SQLAlchemy's."""

    def __init__(self, kind: type[T], table: Table, sealed: SealedTable) -> None:
        super().__init__(kind, table)
        assert sealed.name == table.fullname, "places are named by their table"
        self._sealed = sealed
        self._sealed_names = [name for name in self._names if name in sealed.columns]

    def select(self) -> str:
        if not self._sealed.own:
            return super().select()
        return f"SELECT {self.columns()}, {self.data_key()} FROM {self._table.fullname}"

    def select_unopened(self) -> str:
        """What `unopened` takes."""
        return super().select()

    def data_key(self, alias: str = "") -> str:
        """The column of a select that `opened` takes where a record's own key has sealed values."""
        sealed = self._sealed
        found = f"SELECT coalesce(wrapped, '') FROM {sealed.schema}.data_key"
        return f"({found} WHERE record = {alias or sealed.name}.{sealed.record}) AS {DATA_KEY}"

    def data_key_column(self) -> ColumnElement[Any]:
        """The same for a select of SQLAlchemy's."""
        key = tables.order_key if self._sealed.schema == "orders" else tables.payment_key
        found = select(func.coalesce(key.c.wrapped, ""))
        return (
            found.where(key.c.record == self._table.c[self._sealed.record]).scalar_subquery().label(DATA_KEY)
        )

    def select_mapping(self) -> "Select[Any]":
        """A select of SQLAlchemy's that `opened_mapping` takes."""
        return select(self._table, *([self.data_key_column()] if self._sealed.own else []))

    def sealed(self, aggregate: T, vault: Vault, own: RecordKey | None = None) -> list[Any]:
        """The columns of an aggregate, for `insert`, `update_one` and `put`."""
        values = self.values(aggregate)
        row = {name: getattr(aggregate, name) for name in self._sealed.key}
        for name in self._sealed_names:
            number = self._names.index(name)
            if values[number] is not None:
                values[number] = self._sealed.seal(vault, name, row, values[number], own)
        return values

    def opened(self, row: "asyncpg.Record", vault: Vault, first: int = 0) -> T:
        """The dataclass of these columns, which begin at number `first`. Raises StoredDataUnreadable."""
        values = self._columns_of(row, first)
        wrapped = row[DATA_KEY] if self._sealed.own else None
        for name in self._sealed_names:
            if values[name] is not None and is_sealed(values[name]):
                named = {**values, DATA_KEY: wrapped}
                values[name] = self._sealed.open(vault, name, named, values[name])
        return self._made(values)

    def unopened(self, row: "asyncpg.Record") -> T:
        """The same without the columns under a record's own key: for who has no use for them."""
        values = self._columns_of(row, 0)
        for name in self._sealed.own:
            values[name] = self._sealed.blank.get(name)
        return self._made(values)

    def opened_mapping(self, row: Mapping[Any, Any], vault: Vault) -> T:
        """The dataclass of a row of SQLAlchemy's. Raises StoredDataUnreadable."""
        values = {str(name): value for name, value in row.items()}
        for name in self._sealed_names:
            if isinstance(values[name], str | bytes) and is_sealed(values[name]):
                values[name] = self._sealed.open(vault, name, values, values[name])
                if name in self._sealed.own and values[name] is not None:
                    values[name] = msgspec.json.decode(values[name])
        return from_row(self._kind, values)


def note_key(transaction: Transaction, schema: str, record: str, wrapped: str | None) -> None:
    """Remember the data key that came with a row of this record, for what the transaction writes of it."""
    if wrapped and record not in transaction.record_keys:
        transaction.record_keys[record] = transaction.vault.unwrap(schema, record, wrapped)


def make_key(transaction: Transaction, schema: str, record: str) -> tuple[RecordKey, Write]:
    """A new data key of this record and the statement that keeps it, also in the place of a destroyed one."""
    key = transaction.record_keys[record] = transaction.vault.new_key(schema, record)
    return key, Write(f"{schema} data key {record}", _PUT_KEY.format(schema=schema), (record, key.wrapped))


_PUT_KEY = f"""
    INSERT INTO {{schema}}.data_key AS kept (record, wrapped) SELECT $1::text, $2::text WHERE {AFTER}
    ON CONFLICT (record) DO UPDATE SET wrapped = excluded.wrapped, erased_at = NULL WHERE kept.wrapped IS NULL
"""
