"""Aggregates to rows and back: a column for each field, nested values as JSON."""

from collections.abc import Callable, Mapping
from dataclasses import fields
from datetime import datetime
from enum import StrEnum
from typing import Any, Generic, TypeVar, get_args, get_type_hints

import msgspec
from sqlalchemy import Table
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import JSONB

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
        columns = (f"{name}::text" if self._is_json(name) else name for name in self._names)
        return f"SELECT {', '.join(columns)} FROM {self._table.fullname}"

    def insert(self, *besides: str) -> str:
        """Of one row: the parameters are its `values`, then those of these other columns."""
        names = ", ".join((*self._names, *besides))
        return f"INSERT INTO {self._table.fullname} ({names}) VALUES ({self._marks(len(besides))})"

    @property
    def width(self) -> int:
        """How many columns `values` has."""
        return len(self._names)

    def update_one(self, key: str, *besides: str) -> str:
        """Of the row with this key, everything else in it: the parameters are those of `insert`."""
        marks = zip((*self._names, *besides), self._marks(len(besides)).split(", "), strict=True)
        changes = ", ".join(f"{name} = {mark}" for name, mark in marks if name != key)
        return f"UPDATE {self._table.fullname} SET {changes} WHERE {key} = ${self._names.index(key) + 1}"

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

    def _marks(self, besides: int = 0) -> str:
        marks = [
            f"${number}::text::jsonb" if self._is_json(name) else f"${number}"
            for number, name in enumerate(self._names, 1)
        ]
        return ", ".join([*marks, *(f"${len(marks) + number}" for number in range(1, besides + 1))])

    def update(self, key: str, *names: str) -> str:
        """Of many rows: the parameters are arrays, of the key and of each of these columns."""
        types = {name: str(self._table.c[name].type.compile(_DIALECT)) for name in (key, *names)}
        sent = {name: "text" if kind == "JSONB" else kind for name, kind in types.items()}
        arrays = ", ".join(f"${n}::{kind}[]" for n, kind in enumerate(sent.values(), 1))
        values = ", ".join(f"{name} = new.{name}::{types[name]}" for name in names)
        return f"""
            UPDATE {self._table.fullname} AS old SET {values}
            FROM unnest({arrays}) AS new ({", ".join(sent)}) WHERE old.{key} = new.{key}
        """

    def read(self, row: Mapping[str, Any]) -> T:
        values = dict(row)
        for name, decode in self._json.items():
            if values[name] is not None:
                values[name] = decode(values[name])
        for name, kind in self._enums.items():
            if values[name] is not None:
                values[name] = kind(values[name])
        return self._kind(**values)

    def _is_json(self, name: str) -> bool:
        return isinstance(self._table.c[name].type, JSONB)
