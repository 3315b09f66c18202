"""Requests held against the typed parameter classes that the `stripe` package ships.

They are TypedDicts, made for type checkers; here they are read at run time, recursively.
An enumeration that the package leaves open (`Literal[…] | str`) is taken as closed:
Stripe refuses other values.
"""

import sys
import types
import typing
from collections.abc import Iterator
from typing import Any, Literal, Union, get_args, get_origin

import typing_extensions
from stripe import RequestOptions


def faults(value: Any, expected: Any, path: str = "") -> Iterator[str]:
    """Everything about `value` that the type forbids, as `path: what`."""
    origin, arguments = get_origin(expected), get_args(expected)
    if typing_extensions.is_typeddict(expected):
        yield from _object_faults(value, expected, path)
    elif origin in (Union, types.UnionType):
        yield from _union_faults(value, arguments, path)
    elif origin is Literal:
        if value not in arguments:
            yield f"{path}: {value!r} is none of {arguments}"
    elif origin is list:
        if not isinstance(value, list):
            yield f"{path}: not a list"
            return
        for index, part in enumerate(value):
            yield from faults(part, arguments[0], f"{path}[{index}]")
    elif origin is dict:
        if not isinstance(value, dict):
            yield f"{path}: not an object"
            return
        for key, part in value.items():
            yield from faults(part, arguments[1], f"{path}.{key}")
    elif type(value) is not expected:  # bool is no int here.
        yield f"{path}: {type(value).__name__} is not {expected}"


def _object_faults(value: Any, shape: Any, path: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{path}: not an object"
        return
    hints = _hints(shape)
    for key in value.keys() - hints.keys():
        yield f"{path}.{key}: unknown"
    for key in (shape.__required_keys__ & hints.keys()) - value.keys():
        yield f"{path}.{key}: missing"
    for key in value.keys() & hints.keys():
        yield from faults(value[key], hints[key], f"{path}.{key}")


def _hints(shape: Any) -> dict[str, Any]:
    """The class's fields; those of RequestOptions are the package's own and never sent as parameters."""
    own = {
        name: hint
        for name, hint in shape.__annotations__.items()
        if name not in RequestOptions.__annotations__
    }
    return typing.get_type_hints(
        types.SimpleNamespace(__annotations__=own), vars(sys.modules[shape.__module__])
    )


def _union_faults(value: Any, members: tuple[Any, ...], path: str) -> Iterator[str]:
    if any(get_origin(member) is Literal for member in members):
        closed = tuple(member for member in members if member is not str or _only_empty(members))
    else:
        closed = members
    found = [list(faults(value, member, path)) for member in closed]
    if all(found):
        yield min(found, key=len)[0]


def _only_empty(members: tuple[Any, ...]) -> bool:
    """`Literal[""] | str` means text that may be unset, not an enumeration."""
    literals = [value for member in members if get_origin(member) is Literal for value in get_args(member)]
    return literals == [""]
