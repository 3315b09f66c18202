"""Who calls, as a verified bearer token says it, and the ports that read and make such tokens."""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from domain.shared.errors import UserDiffers


@dataclass(frozen=True, slots=True)
class Caller:
    """The person or service that a token speaks for.

    `subject` is the token's `sub`: limits, ownership and requester ≠ approver go by it.
    `actor` is `act.sub` (RFC 8693), the service that acts for the subject.
    `order_id` binds the token to one order (a guest's `orderToken`).
    """

    subject: str
    scopes: frozenset[str]
    actor: str | None = None
    token_id: str | None = None
    order_id: str | None = None
    expires_at: float | None = field(default=None, compare=False)
    """When the token expires, in seconds of Unix time; None for a caller within the process, who needs none."""
    issuer: str | None = field(default=None, compare=False)
    """Who signed the token."""
    request_id: str | None = field(default=None, compare=False)
    """The `X-Request-Id` of what is asked for now, where it came over HTTP."""

    def may_touch(self, *, user_id: str | None, order_id: str) -> bool:
        """Whether what belongs to this user and this order is the caller's to see and act on."""
        if self.order_id is not None:
            return self.order_id == order_id
        return "users:any" in self.scopes or (user_id is not None and user_id == self.subject)

    def acting_user(self, requested: str | None) -> str | None:
        """Whose a new object is to be: the one named, or the caller. Raises UserDiffers."""
        if "users:any" in self.scopes:
            return requested
        if requested not in (None, self.subject):
            raise UserDiffers(pointer="/userId")
        return self.subject


ORDER_SERVICE = "orders"
"""The order service as the payment service knows it: who signs its tokens, and their subject or actor."""


def has_authority(caller: Caller) -> bool:
    """Whether what the caller does to an order or a payment is for the audit log: it may act on what is not its own.

    What the order service asks for follows from what was asked of it, which is told there.
    """
    return "users:any" in caller.scopes and caller.issuer != ORDER_SERVICE


class TokenFault(StrEnum):
    """Why a token was refused. Stable: logs, tests and the API's 401 answers name it."""

    OVERSIZED = "oversized"
    MALFORMED = "malformed"
    ALGORITHM = "algorithm_not_allowed"
    TYPE = "type_not_allowed"
    UNKNOWN_KEY = "unknown_key"
    SIGNATURE = "bad_signature"
    EXPIRED = "expired"
    NOT_YET_VALID = "not_yet_valid"
    ISSUER = "wrong_issuer"
    AUDIENCE = "wrong_audience"
    LIFETIME = "lifetime_too_long"
    ACTOR = "wrong_actor"
    CLAIMS = "bad_claims"


class TokenInvalid(Exception):
    """The bearer token is not acceptable; `reason` says why, without any part of the token."""

    def __init__(self, reason: TokenFault):
        super().__init__(f"the bearer token is not acceptable: {reason}")
        self.reason = reason


class TokenVerifier(Protocol):
    async def verify(self, token: str) -> Caller:
        """The caller of a token that is valid now. Raises TokenInvalid."""
        ...


class TokenIssuer(Protocol):
    def issue(
        self,
        subject: str,
        scopes: Collection[str],
        expires: datetime,
        *,
        order_id: str | None = None,
        actor: str | None = None,
    ) -> str:
        """A signed token (compact JWS) for this subject, valid from now to `expires` (aware, UTC).

        `actor` is the service that speaks for the subject.
        """
        ...
