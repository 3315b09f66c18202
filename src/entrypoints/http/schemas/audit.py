"""Queries and answers of the audit log."""

from datetime import datetime
from typing import Annotated

from msgspec import Meta

from entrypoints.http.queries import Cursor, Limit
from entrypoints.http.schemas.values import Answered, Strict

Value = str | int | bool | None


class ListAuditQuery(Strict):
    object_id: Annotated[str, Meta(min_length=1, max_length=255)] | None = None
    """About this order, payment, refund, endpoint, …"""
    subject: Annotated[str, Meta(min_length=1, max_length=255)] | None = None
    """Done by this caller."""
    limit: Limit = 20
    cursor: Cursor | None = None


class AuditAnswer(Answered):
    """One thing that somebody did with authority."""

    service: str
    """Whose log it is in: `orders` or `payments`."""
    position: int
    """Its number there, 1, 2, 3 … without gaps."""
    hash: str
    """SHA-256 over the hash before it and the entry, in hexadecimal digits."""
    at: datetime
    action: str
    """`refund.approve`, `order.acknowledge`, …"""
    subject: str
    """The token's `sub`; of a command the operating-system user and host."""
    actor: str | None
    """The service that acted for the subject."""
    scopes: list[str]
    request_id: str | None
    object_type: str
    object_id: str
    reason: str | None
    before: dict[str, Value]
    after: dict[str, Value]


class AuditPage(Answered):
    items: list[AuditAnswer]
    next_cursor: str | None
