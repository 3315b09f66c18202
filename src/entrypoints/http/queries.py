"""Query and path parameters, and pages of lists."""

import base64
import binascii
import re
from collections.abc import Callable, Collection, Sequence
from typing import Annotated, Any, TypeVar

import msgspec
from litestar import Request

from entrypoints.http.bodies import card_data_forbidden, malformed
from entrypoints.http.card_data import contains_card_number
from entrypoints.http.faults import find_faults
from entrypoints.http.problems import Fault, Problem

T = TypeVar("T", bound=msgspec.Struct)
R = TypeVar("R")

Limit = Annotated[int, msgspec.Meta(ge=1, le=100, description="How many to give at most.")]
Cursor = Annotated[
    str, msgspec.Meta(max_length=500, description="Where to go on: `nextCursor` of the page before.")
]

_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


def read_query(
    request: Request[Any, Any, Any],
    schema: type[T],
    *,
    leave: Collection[str] = (),
    leave_empty: bool = False,
) -> T:
    """The query as `schema` has it, but for the parameters to `leave`, and empty ones if they are to be left too.

    Raises Problem 400, also for an unknown or repeated parameter.
    """
    values: dict[str, str] = {}
    faults = []
    for name, value in request.query_params.multi_items():
        if name in leave or (leave_empty and not value):
            continue
        if contains_card_number(name) or contains_card_number(value):
            raise card_data_forbidden()
        if name in values:
            faults.append(Fault(f"?{name[:100]}", "This parameter is given twice."))
        if "\x00" in value:
            faults.append(Fault(f"?{name[:100]}", "The character U+0000 is not allowed."))
        values[name] = value
    if not faults:
        try:
            return msgspec.convert(values, schema, strict=False)
        except msgspec.ValidationError:
            faults = find_faults(values, schema, strict=False, prefix="?")
    raise malformed("query", faults)


def read_id(request: Request[Any, Any, Any], name: str) -> str:
    """An id in the path. Raises Problem 404: what has no id's form names nothing."""
    value: str = request.path_params[name]
    if not _ID.fullmatch(value):
        raise Problem(404, "not_found", "There is nothing of that name.")
    return value


def page_of(found: Sequence[R], limit: int, position: Callable[[R], str]) -> tuple[Sequence[R], str | None]:
    """The page and the cursor behind it, of what was found when asked for one more than the limit."""
    page = found[:limit]
    return page, encode_cursor(position(page[-1])) if len(found) > limit else None


def encode_cursor(position: str) -> str:
    """Opaque to clients, so that what a page goes by may change."""
    return base64.urlsafe_b64encode(position.encode()).decode().rstrip("=")


def decode_cursor(cursor: str | None, form: re.Pattern[str] = _ID) -> str | None:
    """The position in a cursor of ours; `form` is that of positions. Raises Problem 400 for anything else."""
    if cursor is None:
        return None
    try:
        position = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError):
        position = ""
    if not form.fullmatch(position):
        raise malformed("query", [Fault("?cursor", "This is not a cursor of ours.")])
    return position
