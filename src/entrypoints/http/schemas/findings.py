"""Queries, bodies and answers of findings."""

from datetime import datetime
from typing import Annotated

from msgspec import Meta

from domain.reconciliation.finding import Action, FindingStatus, FindingType
from entrypoints.http.queries import Cursor, Limit
from entrypoints.http.schemas.values import Answered, OrderId, Strict

Value = str | int | bool | None


class ListFindingsQuery(Strict):
    status: FindingStatus | None = None
    type: FindingType | None = None
    order_id: OrderId | None = None
    limit: Limit = 20
    cursor: Cursor | None = None


class ResolveBody(Strict):
    comment: Annotated[str, Meta(min_length=1, max_length=1000)]
    """What was done about it. It stands in the audit log for good: no personal data."""


class FindingAnswer(Answered):
    """Two books did not agree on one object."""

    finding_id: str
    type: FindingType
    meaning: str
    object_id: str
    """What it is about: our payment or order, or the gateway's refund, dispute or intent."""
    gateway: str | None
    payment_id: str | None
    order_id: str | None
    expected: dict[str, Value]
    found: dict[str, Value]
    action: Action
    """What the policy has for it."""
    status: FindingStatus
    note: str | None
    """What became of its repair, in words."""
    tries: int
    first_seen: datetime
    last_seen: datetime
    closed_at: datetime | None
    settled_by: str | None
    comment: str | None


class FindingPage(Answered):
    items: list[FindingAnswer]
    next_cursor: str | None
