"""Aggregates to rows and back: a column for each field, nested values as JSON."""

from collections.abc import Callable, Mapping
from dataclasses import fields
from datetime import datetime
from enum import StrEnum
from typing import Any, Generic, TypeVar, get_args, get_type_hints

import asyncpg
import msgspec
from sqlalchemy import Table
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import JSONB

from adapters.postgres.transaction import AFTER

_DIALECT = postgresql.dialect()  # type: ignore[no-untyped-call]
T = TypeVar("T")


def to_row(aggregate: Any) -> dict[str, Any]:
    """A dataclass as column values; private fields are not stored."""
    values: dict[str, Any] = msgspec.to_builtins(aggregate, builtin_types=(datetime,))
    return {name: value for name, value in values.items() if not name.startswith("_")}


def from_row(kind: type[T], row: Mapping[Any, Any]) -> T:
    """The dataclass of a row that `to_row` made; columns it does not know are left out."""
    # SQLAlchemy's column names are a kind of str that msgspec does not take for one.
    return msgspec.convert({str(name): value for name, value in row.items()}, kind)


class HotRows(Generic[T]):
    """Statements on one table for the driver itself, where SQLAlchemy's part would tell.

    `kind` is the dataclass of a row; JSON travels as text, decoded straight into the fields' types.
    """

    def __init__(self, kind: type[T], table: Table) -> None:
        hints = get_type_hints(kind)
        self._kind = kind
        self._table = table
        self._names = [field.name for field in fields(kind) if not field.name.startswith("_")]  # type: ignore[arg-type]
        self._json: dict[str, Callable[[str], Any]] = {
            name: msgspec.json.Decoder(hints[name]).decode for name in self._names if self._is_json(name)
        }
        self._enums: dict[str, Callable[[str], Any]] = {
            name: hint
            for name in self._names
            for hint in (hints[name], *get_args(hints[name]))  # of an optional one, too
            if isinstance(hint, type) and issubclass(hint, StrEnum)
        }

    def select(self) -> str:
        return f"SELECT {self.columns()} FROM {self._table.fullname}"

    def columns(self, table: str = "") -> str:
        """What `read` takes, of this alias of the table."""
        of = f"{table}." if table else ""
        return ", ".join(
            f"{of}{name}::text" if self._is_json(name) else f"{of}{name}" for name in self._names
        )

    def insert(self, *besides: str) -> str:
        """Of one row: the parameters are its `values`, then those of these other columns. To be a `Write`."""
        names = ", ".join((*self._names, *besides))
        marks = ", ".join(self._marks(*besides))
        return f"INSERT INTO {self._table.fullname} ({names}) SELECT {marks} WHERE {AFTER}"

    def insert_with(self, column: str, expression: str) -> str:
        """As `insert`, where this column's value is an expression that names columns' parameters as `{column}`."""
        marks = dict(zip(self._names, self._marks(), strict=True))
        listed = ", ".join({**marks, column: expression.format(**marks)}.values())
        names = ", ".join(self._names)
        return f"INSERT INTO {self._table.fullname} ({names}) SELECT {listed} WHERE {AFTER}"

    @property
    def width(self) -> int:
        """How many columns `values` has."""
        return len(self._names)

    def update_one(self, key: str, *besides: str) -> str:
        """Of the row with this key, everything else in it: the parameters are those of `insert`. To be a `Write`."""
        marks = zip((*self._names, *besides), self._marks(*besides), strict=True)
        changes = ", ".join(f"{name} = {mark}" for name, mark in marks if name != key)
        where = f"{key} = ${self._names.index(key) + 1} AND {AFTER}"
        return f"UPDATE {self._table.fullname} SET {changes} WHERE {where}"

    def put(self, key: str) -> str:
        """Insert a row or, where its key is there, write it over: the parameters are its `values`."""
        changes = ", ".join(f"{name} = excluded.{name}" for name in self._names if name != key)
        return f"{self.insert()} ON CONFLICT ({key}) DO UPDATE SET {changes}"

    def values(self, aggregate: T) -> list[Any]:
        """The columns of an aggregate, for `insert` and `update_one`."""
        values = [getattr(aggregate, name) for name in self._names]
        for name in self._json:
            number = self._names.index(name)
            if values[number] is not None:
                values[number] = msgspec.json.encode(values[number]).decode()
        return values

    def _marks(self, *besides: str) -> list[str]:
        return [
            f"${number}::text::jsonb" if self._is_json(name) else f"${number}::{self._type(name)}"
            for number, name in enumerate((*self._names, *besides), 1)
        ]

    def _type(self, name: str) -> str:
        return str(self._table.c[name].type.compile(_DIALECT))

    def update(self, key: str, *names: str) -> str:
        """Of many rows: the parameters are arrays, of the key and of each of these columns. To be a `Write`."""
        types = {name: self._type(name) for name in (key, *names)}
        sent = {name: "text" if kind == "JSONB" else kind for name, kind in types.items()}
        arrays = ", ".join(f"${n}::{kind}[]" for n, kind in enumerate(sent.values(), 1))
        values = ", ".join(f"{name} = new.{name}::{types[name]}" for name in names)
        return f"""
            UPDATE {self._table.fullname} AS old SET {values}
            FROM unnest({arrays}) AS new ({", ".join(sent)}) WHERE old.{key} = new.{key} AND {AFTER}
        """

    def read(self, row: "asyncpg.Record", first: int = 0) -> T:
        """The dataclass of these columns, which begin at number `first` of the row."""
        return self._made(self._columns_of(row, first))

    def _columns_of(self, row: "asyncpg.Record", first: int) -> dict[str, Any]:
        return dict(zip(self._names, row[first : first + self.width], strict=True))

    def _made(self, values: dict[str, Any]) -> T:
        for name, decode in self._json.items():
            if values[name] is not None:
                values[name] = decode(values[name])
        for name, kind in self._enums.items():
            if values[name] is not None:
                values[name] = kind(values[name])
        return self._kind(**values)

    def _is_json(self, name: str) -> bool:
        return isinstance(self._table.c[name].type, JSONB)
