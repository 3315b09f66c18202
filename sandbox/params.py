"""Requests checked against the typed parameter classes that the `stripe` package ships.

They are generated from Stripe's OpenAPI description, so the sandbox refuses what Stripe
refuses: unknown, missing or ill-typed parameters, and values outside an enumeration.
"""

import re
import sys
import types
import typing
from collections.abc import Callable
from functools import cache
from types import SimpleNamespace
from typing import Any, Literal, Union, get_args, get_origin

import stripe.params
import typing_extensions
from stripe import RequestOptions

from sandbox.errors import ApiError

Json = dict[str, Any]
Check = Callable[[Any, str], Any]

_INTEGER = re.compile(r"-?[0-9]{1,18}\Z")
_UNSET = ""


def check_params(class_name: str, form: Json) -> Json:
    """The form with integers, booleans and lists in their own types.

    An empty string where Stripe allows one stays: it unsets the parameter.

    Raises:
        ApiError: 400, naming the parameter.
    """
    checked = _object_check(getattr(stripe.params, class_name))(form, "")
    assert isinstance(checked, dict)
    return checked


@cache
def _object_check(shape: type) -> Check:
    hints = _hints(shape)
    required = sorted(shape.__required_keys__ & hints.keys())  # type: ignore[attr-defined]
    checks: dict[str, Check] = {}

    def check(value: Any, path: str) -> Json:
        if not isinstance(value, dict):
            raise ApiError("Invalid object", param=path)
        unknown = [_join(path, name) for name in value if name not in hints]
        if unknown:
            many = "s" if len(unknown) > 1 else ""
            raise ApiError(
                f"Received unknown parameter{many}: {', '.join(unknown)}",
                code="parameter_unknown",
                param=unknown[0],
            )
        for name in required:
            if name not in value:
                missing = _join(path, name)
                raise ApiError(f"Missing required param: {missing}.", code="parameter_missing", param=missing)
        checked: Json = {}
        for name, part in value.items():
            if name not in checks:
                checks[name] = _check_of(hints[name])
            checked[name] = checks[name](part, _join(path, name))
        return checked

    return check


def _hints(shape: type) -> dict[str, Any]:
    """The class's own fields: those of `RequestOptions` are the SDK's, not the request's."""
    own = {
        name: hint
        for name, hint in shape.__annotations__.items()
        if name not in RequestOptions.__annotations__
    }
    return typing.get_type_hints(
        SimpleNamespace(__annotations__=own), globalns=vars(sys.modules[shape.__module__])
    )


def _join(path: str, name: str) -> str:
    return f"{path}[{name}]" if path else name


def _check_of(hint: Any) -> Check:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return _union_check(arguments)
    if origin is Literal:
        return _enum_check([str(value) for value in arguments])
    if origin is list:
        return _list_check(_check_of(arguments[0]))
    if origin is dict:
        return _map_check
    if typing_extensions.is_typeddict(hint):
        return _object_check(hint)
    if hint is int:
        return _integer
    if hint is bool:
        return _boolean
    return _string


def _union_check(members: tuple[Any, ...]) -> Check:
    """`Literal[…] | str` is an enumeration that the package keeps open; Stripe does not.

    `Literal[""]` beside another type means that an empty value unsets the parameter.
    """
    literals = [value for member in members if get_origin(member) is Literal for value in get_args(member)]
    clearable = _UNSET in literals
    enum = [value for value in literals if value != _UNSET]
    others = [_check_of(member) for member in members if get_origin(member) is not Literal]
    if enum:
        others = [check for check in others if check is not _string]
        others.append(_enum_check(enum))
    # A hash in the form picks the structured member, a leaf the plain one.
    structured = [check for check in others if check not in (_integer, _boolean, _string)]

    def check(value: Any, path: str) -> Any:
        if value == _UNSET and clearable:
            return value
        candidates = structured if isinstance(value, dict) and structured else others
        refused: ApiError | None = None
        for candidate in candidates:
            try:
                return candidate(value, path)
            except ApiError as error:
                refused = error
        assert refused is not None
        raise refused

    return check


def _enum_check(values: list[str]) -> Check:
    allowed = frozenset(values)
    listed = values[0] if len(values) == 1 else f"one of {', '.join(values[:-1])}, or {values[-1]}"

    def check(value: Any, path: str) -> str:
        if not isinstance(value, str) or value not in allowed:
            raise ApiError(f"Invalid {path}: must be {listed}", param=path)
        return value

    return check


def _list_check(element: Check) -> Check:
    def check(value: Any, path: str) -> list[Any]:
        if not isinstance(value, dict) or not all(name.isdecimal() for name in value):
            raise ApiError("Invalid array", param=path)
        return [element(value[name], f"{path}[{name}]") for name in sorted(value, key=int)]

    return check


def _map_check(value: Any, path: str) -> dict[str, str]:
    """Metadata and its like: names and strings. An empty value unsets the whole."""
    if value == _UNSET:
        return {}
    if not isinstance(value, dict):
        raise ApiError("Invalid object", param=path)
    return {name: _string(part, f"{path}[{name}]") for name, part in value.items()}


def _string(value: Any, path: str) -> str:
    if not isinstance(value, str):
        raise ApiError(f"Invalid string: {value}", param=path)
    return value


def _integer(value: Any, path: str) -> int:
    if not isinstance(value, str) or not _INTEGER.match(value):
        raise ApiError(f"Invalid integer: {value}", code="parameter_invalid_integer", param=path)
    return int(value)


def _boolean(value: Any, path: str) -> bool:
    if value not in ("true", "false"):
        raise ApiError(f"Invalid boolean: {value}", param=path)
    return bool(value == "true")
