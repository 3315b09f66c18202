"""What a route is for, said once: its guard, its documentation and its place in the router follow from it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from entrypoints.http.authentication import requires, requires_service


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One call of the API. Types are schema structs, examples are instances of them.

    `answer` is None where a call that did what it was asked has nothing to tell.
    """

    operation_id: str
    tag: str
    summary: str
    answer: Any
    answer_example: Any
    status: int = 200
    media_type: str = "application/json"
    """Of the answer; problems have their own."""
    description: str = ""
    scopes: tuple[str, ...] = ()
    """What the token must allow, all of it (`a|b`: either); none where the call takes no token."""
    is_internal: bool = False
    """Whether only the other service makes it, at the internal listener."""
    body: Any = None
    body_examples: Mapping[str, Any] = field(default_factory=dict)
    query: Any = None
    path: Mapping[str, Any] = field(default_factory=dict)
    """What its path parameters may be, by name; ids otherwise."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Headers of the request that it needs besides, with what they are."""
    optional_headers: Mapping[str, str] = field(default_factory=dict)
    """Those that it honours where they are given."""
    key: Literal["none", "optional", "required"] = "none"
    """Whether it takes an `Idempotency-Key`."""
    if_match: Literal["none", "optional", "required"] = "none"
    """Whether it is made only to the version that `If-Match` names."""
    etag: bool = False
    """Whether the answer says its version in `ETag`."""
    other_answers: Mapping[int, Any] = field(default_factory=dict)
    """Examples of the same answer under another status."""
    problems: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    """Codes of the problems that are its own, by status; the general ones follow from the rest."""


def route(operation: Operation) -> dict[str, Any]:
    """The arguments of Litestar's route decorators."""
    guard = requires_service if operation.is_internal else requires
    return {
        "name": operation.operation_id,
        # Litestar takes a 204 of handlers that return nothing; ours return the finished response, which counts.
        "status_code": operation.status if operation.answer is not None else 200,
        "guards": [guard(*operation.scopes)] if operation.scopes else [],
        "opt": {"operation": operation},
    }
