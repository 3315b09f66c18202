"""Aggregates to rows and back: a column for each field, nested values as JSON."""

from datetime import datetime
from typing import Any, TypeVar

import msgspec
from sqlalchemy import RowMapping

T = TypeVar("T")


def to_row(aggregate: Any) -> dict[str, Any]:
    """A dataclass as column values; private fields are not stored."""
    values: dict[str, Any] = msgspec.to_builtins(aggregate, builtin_types=(datetime,))
    return {name: value for name, value in values.items() if not name.startswith("_")}


def from_row(kind: type[T], row: RowMapping) -> T:
    """The dataclass of a row that `to_row` made; columns it does not know are left out."""
    # SQLAlchemy's column names are a kind of str that msgspec does not take for one.
    return msgspec.convert({str(name): value for name, value in row.items()}, kind)
