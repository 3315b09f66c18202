"""Request bodies: read up to a limit, parsed strictly, and every fault told at once.

Parsing takes two steps. The JSON text becomes plain values once, which tells duplicate names and
numbers that JSON does not have, gives the canonical form for the idempotency fingerprint, and can be
searched for card numbers; then msgspec turns the values into the schema's struct.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import msgspec
from litestar import Request
from litestar.exceptions import InternalServerException

from entrypoints.http.card_data import contains_card_number
from entrypoints.http.faults import find_faults
from entrypoints.http.problems import Fault, Problem

MAX_BODY_BYTES = 1024 * 1024
MAX_DEPTH = 16
"""How deep lists and objects may stand in one another; no schema of ours has more than six."""

T = TypeVar("T")

# Bytes that call for a closer look: enough digits for a card number, an escape, or a letter beyond
# ASCII, which may be a digit of another script.
_SUSPECT = re.compile(rb"(?:[0-9][ \t.,\-_/]{0,3}){12}[0-9]|[\\\x80-\xff]")
_TOO_DEEP = "The body is nested too deeply."
_canonical = msgspec.json.Encoder(order="sorted")


@dataclass(frozen=True, slots=True)
class Body(Generic[T]):
    """`canonical` is the same for all texts of the same JSON value."""

    value: T
    canonical: bytes


async def read_body(request: Request[Any, Any, Any]) -> bytes:
    """The raw body. Litestar stops at its limit and answers 413, whether or not a length was announced."""
    try:
        return await request.body()
    except InternalServerException as error:  # the client went away
        raise Problem(400, "body_incomplete", "The body ended before it was complete.") from error


async def read_json(request: Request[Any, Any, Any], schema: type[T]) -> Body[T]:
    """The body as `schema` has it; an empty one counts as `{}`.

    Raises Problem: 415 for another content type, 400 for everything else that is wrong with it.
    """
    require_json(request)
    text = await read_body(request)
    if text and "content-type" not in request.headers:
        raise Problem(415, "media_type_unsupported", "The body needs the Content-Type application/json.")
    return parse_json(text or b"{}", schema)


def require_json(request: Request[Any, Any, Any]) -> None:
    """Raises Problem 415 where the request says that its body is something else."""
    content_type = request.headers.get("content-type")
    if (content_type is not None and not _is_json(content_type)) or "content-encoding" in request.headers:
        raise Problem(415, "media_type_unsupported", "The body must be application/json in UTF-8.")


def _is_json(content_type: str) -> bool:
    media_type, *parameters = (part.strip().lower() for part in content_type.split(";"))
    return media_type == "application/json" and all(
        parameter.removeprefix("charset=").strip('"') == "utf-8" for parameter in parameters if parameter
    )


def parse_json(text: bytes, schema: type[T]) -> Body[T]:
    """The same for a text. Raises Problem 400: `invalid_json`, `card_data_forbidden`, `malformed`."""
    value, canonical = _plain(text)
    if _SUSPECT.search(text):
        _inspect(value)
    try:
        return Body(msgspec.convert(value, schema), canonical)
    except msgspec.ValidationError as error:
        faults = find_faults(value, schema) or [Fault("", str(error))]
        raise malformed("body", faults) from error


def malformed(what: str, faults: list[Fault]) -> Problem:
    count = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
    return Problem(400, "malformed", f"The {what} has {count}.", errors=faults)


def _plain(text: bytes) -> tuple[Any, bytes]:
    try:
        value = json.loads(text.decode("utf-8"), object_pairs_hook=_unique_names, parse_constant=_no_constant)
        if not _is_shallow(value, text):
            raise _NotJson(_TOO_DEEP)
        return value, _canonical.encode(value)  # refuses a lone surrogate, which UTF-8 cannot carry
    except UnicodeDecodeError as error:
        detail = f"The body is not valid UTF-8 (at byte {error.start})."
    except UnicodeEncodeError:
        detail = "The body has half a surrogate pair in a text."
    except json.JSONDecodeError as error:
        detail = f"The body is not JSON: {error.msg} (line {error.lineno}, column {error.colno})."
    except RecursionError:
        detail = _TOO_DEEP
    except ValueError as error:  # of our two hooks, and of a number with thousands of digits
        detail = str(error) if isinstance(error, _NotJson) else "The body has a number that is too long."
    raise Problem(400, "invalid_json", detail)


class _NotJson(ValueError):
    pass


def _is_shallow(value: Any, text: bytes) -> bool:
    """Whether no more than `MAX_DEPTH` lists and objects stand in one another. Not recursive."""
    if text.count(b"[") + text.count(b"{") <= MAX_DEPTH:  # nearly every body
        return True
    level = [value]
    for _ in range(MAX_DEPTH):
        inner: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                inner.extend(item.values())
            elif isinstance(item, list):
                inner.extend(item)
        level = inner
        if not level:
            return True
    return not any(isinstance(item, dict | list) for item in level)


def _unique_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise _NotJson("The body has an object with the same name twice.")
    return value


def _no_constant(name: str) -> Any:
    raise _NotJson(f"The body has {name}, which JSON does not know.")


def _inspect(value: Any) -> None:
    """Refuse what no text of a body may hold: a card number, or the NUL that PostgreSQL cannot store."""
    for text in _texts(value):
        if "\x00" in text:
            raise Problem(400, "malformed", "The body has the character U+0000 in a text.")
        if contains_card_number(text):
            raise card_data_forbidden()


def card_data_forbidden() -> Problem:
    return Problem(
        400,
        "card_data_forbidden",
        "The request holds what looks like a card number; send a payment method token instead. "
        "Nothing of the request was kept.",
    )


def _texts(value: Any) -> Iterator[str]:
    """Every text, number and name in a JSON value. Not recursive: a body may be nested deeply."""
    pending = [value]
    while pending:
        match pending.pop():
            case str() as text:
                yield text
            case bool() | None:
                pass
            case int() as number:
                yield str(number)
            case float() as number if number.is_integer():
                yield str(int(number))
            case list() as items:
                pending.extend(items)
            case dict() as members:
                yield from members
                pending.extend(members.values())
