"""All faults of a value against its schema, where msgspec tells the first only.

Runs after msgspec has refused, so it need not be fast. It goes through structs, lists and dicts
itself and leaves the judgement on everything else to msgspec.
"""

import types
from collections.abc import Iterator
from itertools import islice
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import msgspec

from entrypoints.http.problems import Fault

MAX_FAULTS = 100
_MAX_NAME_CHARACTERS = 100


def find_faults(value: Any, schema: Any, *, strict: bool = True, prefix: str = "") -> list[Fault]:
    """The faults in order of the schema's fields, at most 100. `prefix` begins every pointer."""
    return list(islice(_faults(value, schema, prefix, strict), MAX_FAULTS))


def _faults(value: Any, schema: Any, pointer: str, strict: bool) -> Iterator[Fault]:
    plain = _without_none(schema) if value is not None else schema
    bare = get_args(plain)[0] if get_origin(plain) is Annotated else plain
    if _is_struct(bare) and isinstance(value, dict):
        yield from _struct_faults(value, bare, pointer, strict)
    elif get_origin(bare) in (list, tuple) and isinstance(value, list):
        yield from _own_fault(value, _with_items_of_any_kind(plain), pointer, strict)
        for index, item in enumerate(value):
            yield from _faults(item, get_args(bare)[0], f"{pointer}/{index}", strict)
    elif get_origin(bare) is dict and isinstance(value, dict):
        yield from _own_fault(value, _with_items_of_any_kind(plain), pointer, strict)
        name_type, item_type = get_args(bare)
        for name, item in value.items():
            inner = _member(pointer, name)
            yield from _own_fault(name, name_type, inner, strict)
            yield from _faults(item, item_type, inner, strict)
    else:
        yield from _own_fault(value, schema, pointer, strict)


def _struct_faults(value: dict[str, Any], schema: Any, pointer: str, strict: bool) -> Iterator[Fault]:
    hints = get_type_hints(schema, include_extras=True)
    known = set()
    for field in msgspec.structs.fields(schema):
        known.add(field.encode_name)
        inner = _member(pointer, field.encode_name)
        if field.encode_name in value:
            yield from _faults(value[field.encode_name], hints[field.name], inner, strict)
        elif field.required:
            yield Fault(inner, "This field is missing.")
    for name in value:
        if name not in known:
            yield Fault(_member(pointer, name), "There is no such field.")


def _own_fault(value: Any, schema: Any, pointer: str, strict: bool) -> Iterator[Fault]:
    try:
        msgspec.convert(value, schema, strict=strict)
    except msgspec.ValidationError as error:
        yield Fault(pointer, _in_words(str(error).partition(" - at `")[0], schema))


def _in_words(text: str, schema: Any) -> str:
    """msgspec's message; where it would show a regular expression, the description of what is wanted."""
    if "matching regex" in text:
        limits = [limit for limit in get_args(_without_none(schema))[1:] if isinstance(limit, msgspec.Meta)]
        wanted = next((limit.description for limit in limits if limit.description), "another form")
        return f"Expected {wanted[:1].lower()}{wanted[1:].rstrip('.')}."
    return f"{text.replace('`', '')}."


def _member(pointer: str, name: str) -> str:
    """The pointer of a member. A name longer than any of ours is not repeated."""
    if len(name) > _MAX_NAME_CHARACTERS:
        return pointer
    if pointer == "?":
        return f"?{name}"
    return f"{pointer}/{name.replace('~', '~0').replace('/', '~1')}"


def _is_struct(schema: Any) -> bool:
    return isinstance(schema, type) and issubclass(schema, msgspec.Struct)


def _without_none(schema: Any) -> Any:
    if get_origin(schema) in (Union, types.UnionType):
        others = [kind for kind in get_args(schema) if kind not in (type(None), msgspec.UnsetType)]
        if len(others) == 1:
            return others[0]
    return schema


def _with_items_of_any_kind(schema: Any) -> Any:
    """The same list or dict type with its limits and without its items' rules, which are told one by one."""
    if get_origin(schema) is Annotated:
        bare, *limits = get_args(schema)
        for limit in limits:
            bare = Annotated[_with_items_of_any_kind(bare), limit]
        return bare
    return dict[str, Any] if get_origin(schema) is dict else list[Any]
