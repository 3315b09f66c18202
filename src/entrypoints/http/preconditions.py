"""`If-Match` and `If-None-Match` (RFC 9110, section 13.1): a change is made only to what the client knows."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from litestar import Request

from entrypoints.http.problems import Problem

_TAG = r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"'
_TAGS = re.compile(rf"[ \t,]*{_TAG}(?:[ \t]*,[ \t]*(?:{_TAG})?)*[ \t]*")
# A weak tag never matches: the comparison is the strong one. Nor does a tag that is none of ours.
_VERSION = re.compile(r'(?<![^ \t,])"([1-9][0-9]{0,9})"')


def read_if_match(request: Request[Any, Any, Any], *, required: bool) -> Collection[int] | None:
    """The versions that the client takes for the present one; None for `*`, which any version is.

    None also where the header is missing and not required. Raises Problem: 428 where it is missing, 400
    where it is malformed.
    """
    given = request.headers.getall("if-match", [])
    if not given and not required:
        return None
    if not given:
        raise Problem(
            428, "if_match_missing", "This call needs the header If-Match, with the ETag of what it changes."
        )
    value = ",".join(given).strip()
    if value == "*":
        return None
    if not _TAGS.fullmatch(value):
        raise Problem(400, "if_match_malformed", 'The If-Match must be `*` or a list of tags like "3".')
    return frozenset(int(version) for version in _VERSION.findall(value))


@dataclass(frozen=True, slots=True)
class Preconditions:
    """What the client takes for granted; None where it does not say."""

    exists: bool | None = None
    versions: Collection[int] | None = None


def read_preconditions(request: Request[Any, Any, Any]) -> Preconditions:
    """Of a call that makes or changes a thing, and needs none of them. Raises Problem 400 where malformed.

    Of `If-None-Match`, only `*` has a use here: not to write over what is there.
    """
    unless = request.headers.getall("if-none-match", [])
    if unless and [value.strip() for value in unless] != ["*"]:
        raise Problem(400, "if_none_match_malformed", "The If-None-Match must be `*`.")
    if "if-match" not in request.headers:
        return Preconditions(exists=False if unless else None)
    if unless:
        raise Problem(400, "if_none_match_malformed", "If-Match and If-None-Match contradict one another.")
    return Preconditions(exists=True, versions=read_if_match(request, required=True))
