"""What the addresses of pages say: filters and where a list goes on."""

from typing import Any, TypeVar
from urllib.parse import urlencode

import msgspec

from entrypoints.console.forms import ConsoleRequest
from entrypoints.http.queries import read_query

T = TypeVar("T", bound=msgspec.Struct)

_OF_PAGES = frozenset({"done"})
"""What any page may have in its address besides its filters."""


def read_filters(request: ConsoleRequest, schema: type[T]) -> T:
    """The filters of a list; a field of the form that was left empty is absent. Raises Problem 400."""
    return read_query(request, schema, leave=_OF_PAGES, leave_empty=True)


def link(path: str, filters: msgspec.Struct, cursor: str | None) -> str | None:
    """The address of the next page with the same filters; None where there is none."""
    if cursor is None:
        return None
    said: dict[str, Any] = msgspec.to_builtins(filters)
    values = {
        name: str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in said.items()
        if value not in (None, False, "")
    }
    return f"{path}?{urlencode(values | {'cursor': cursor})}"
