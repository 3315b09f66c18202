"""What the domain can answer instead of a result.

An error is a fact; its class says which kind of answer it is, `code` names it for programs
(stable, part of the HTTP contract) and the docstring is its message where none is given.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class FieldFault:
    """One field at fault: `pointer` is its JSON pointer (RFC 6901) in the request."""

    pointer: str
    message: str


class DomainError(Exception):
    """The request cannot be carried out."""

    code: ClassVar[str] = "error"
    retry_after_seconds: ClassVar[int | None] = None
    """When the same request may fare better; None where it would get the same answer."""

    def __init__(
        self, detail: str | None = None, *, pointer: str | None = None, faults: Sequence[FieldFault] = ()
    ) -> None:
        """`pointer` is the JSON pointer of the field at fault, where there is one; `faults` where there are more."""
        self.detail = detail or (type(self).__doc__ or "").strip().splitlines()[0]
        self.pointer = pointer
        self.faults = (FieldFault(pointer, self.detail),) if pointer is not None else tuple(faults)
        super().__init__(self.detail)


class NotFound(DomainError):
    """There is nothing of that name that the caller may see."""

    code = "not_found"


class Malformed(DomainError):
    """A value has a form that is never accepted."""

    code = "malformed"


class Conflict(DomainError):
    """The present state forbids it."""

    code = "conflict"


class AttentionNotOpen(Conflict):
    """There is no such attention that a person must look at now."""

    code = "attention_not_open"


class Refused(DomainError):
    """The request is well-formed and refused."""

    code = "refused"
    payment_id: str | None = None
    """The payment that was made before a later step of the same call was refused, and that stands."""


class VersionStale(DomainError):
    """It has changed since the version that the request names."""

    code = "version_stale"

    def __init__(self, version: int | None = None) -> None:
        """`version` is the one that stands now."""
        super().__init__()
        self.version = version


class Forbidden(DomainError):
    """The caller's token does not allow this."""

    code = "forbidden"


class UserDiffers(Forbidden):
    """The token allows acting for its own subject only."""

    code = "user_differs"


class TokenBoundToOrder(Forbidden):
    """The token is for one order, and makes no others."""

    code = "token_bound_to_order"


class Unavailable(DomainError):
    """Something this call needs is down; nothing was begun."""

    code = "unavailable"
    retry_after_seconds = 2
