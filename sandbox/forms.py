"""Stripe's request bodies: forms whose keys nest by brackets (`a[b][0][c]=1`, `a[]=1`)."""

import re
from typing import Any
from urllib.parse import parse_qsl

from sandbox.errors import ApiError

Json = dict[str, Any]

_KEY = re.compile(r"([^\[\]]+)((?:\[[^\[\]]*\])*)\Z")
_PART = re.compile(r"\[([^\[\]]*)\]")
_MAX_FIELDS = 10_000
_MAX_DEPTH = 10


def decode_form(text: bytes) -> Json:
    """The nested form. Leaves are strings; `a[0]` becomes `{"a": {"0": …}}`, `a[]` appends.

    Which of these is a list and which a hash only the parameter's type can tell.

    Raises:
        ApiError: 400 for a body that is no form in UTF-8.
    """
    try:
        pairs = parse_qsl(text.decode(), keep_blank_values=True, max_num_fields=_MAX_FIELDS, errors="strict")
    except ValueError as refused:
        raise ApiError("Invalid request body: expected a URL-encoded form in UTF-8.") from refused
    form: Json = {}
    for key, value in pairs:
        match = _KEY.match(key)
        if match is None:
            raise ApiError(f"Invalid parameter name: {key}", param=key)
        path = [match[1], *_PART.findall(match[2])]
        if len(path) > _MAX_DEPTH:
            raise ApiError(f"Parameter is nested too deeply: {match[1]}", param=match[1])
        _put(form, path, value, key)
    return form


def _put(form: Json, path: list[str], value: str, key: str) -> None:
    node = form
    for part in path[:-1]:
        # `a[]` numbers itself: each occurrence is one more element.
        name = str(len(node)) if part == "" else part
        child = node.setdefault(name, {})
        if not isinstance(child, dict):
            raise ApiError("Invalid object", param=key)
        node = child
    last = path[-1]
    name = str(len(node)) if last == "" else last
    if isinstance(node.get(name), dict):
        raise ApiError("Invalid object", param=key)
    node[name] = value
