"""Bodies and answers of the refund calls."""

from datetime import datetime
from typing import Annotated, Literal

from msgspec import Meta

from domain.payments.refund import RefundStatus
from domain.payments.refund_policy import Cause, Ruling
from entrypoints.http.queries import Cursor, Limit
from entrypoints.http.schemas.values import Amount, Answered, CurrencyCode, PaymentId, Reason, Strict


class CreateRefundBody(Strict):
    payment_id: PaymentId
    amount: Amount
    currency: CurrencyCode
    reason: Reason
    """Where the refund policy lists reasons, one of them."""


class DecideRefundBody(Strict):
    comment: Annotated[str, Meta(min_length=1, max_length=500)] | None = None
    """Why, for whoever reads it later: kept with the refund and in the audit log."""


class RetryRefundBody(Strict):
    """Nothing: the path says it all."""


class ListRefundsQuery(Strict):
    status: RefundStatus | None = None
    payment_id: PaymentId | None = None
    limit: Limit = 20
    cursor: Cursor | None = None


class RefundState(Answered):
    """A refund; the amount in minor units of `currency`."""

    refund_id: str
    payment_id: str
    amount: int
    currency: str
    reason: str | None
    status: RefundStatus
    operation: Literal["UNKNOWN"] | None
    """`UNKNOWN` while the gateway's word on it is still out."""
    failure_reason: str | None
    created_at: datetime
    updated_at: datetime


class RefundAnswer(RefundState):
    """A refund, with who asked for it and who decided."""

    attempt: int
    """Counts how often it was asked of the gateway: more than 1 where it was retried."""
    requested_by: str | None
    """The subject who asked for it; null for one that was made at the gateway."""
    retried_by: str | None
    """The subject who asked last for it to be tried again."""
    policy_rule: str | None
    """The rule of the refund policy that decided what became of the request."""
    decided_by: str | None
    """On whose authority it went out or was rejected: the requester's own within their limits, else an approver's."""
    decided_at: datetime | None
    comment: str | None
    """What the approver had to say."""
    approve_before: datetime | None
    """While it waits for approval: when it is rejected unless somebody decides."""


class RefundPage(Answered):
    items: list[RefundAnswer]
    next_cursor: str | None


class RefundRefusal(Answered):
    """The problem that the refund itself would be answered with."""

    status: int
    code: str
    detail: str


class SimulatedRefundAnswer(Answered):
    """What would become of a refund now. Nothing is moved, and nothing stored."""

    outcome: Ruling
    status: RefundStatus | None
    """What the refund would begin with; null where it is refused."""
    policy_rule: str | None
    """The rule that decides; null where the refund is refused before the policy is asked."""
    causes: list[Cause]
    """What it is beyond of: limits, or the age of the payment."""
    used_of_day: int
    """What counts towards the caller's limit of a day before this refund, where a limit needs it counted."""
    used_of_order: int
    """What counts towards the limit of the order before it, likewise."""
    refusal: RefundRefusal | None
