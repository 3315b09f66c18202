"""Queries and answers of the calls on disputes."""

from datetime import datetime

from domain.payments.dispute_status import DisputeStatus
from entrypoints.http.queries import Cursor, Limit
from entrypoints.http.schemas.values import Answered, PaymentId, Strict


class ListDisputesQuery(Strict):
    payment_id: PaymentId
    limit: Limit = 20
    cursor: Cursor | None = None


class DisputeAnswer(Answered):
    """A chargeback or an inquiry; amounts in minor units of `currency`."""

    dispute_id: str
    """The gateway's own id."""
    payment_id: str
    amount: int
    currency: str
    reason: str
    """The gateway's word: `fraudulent`, `product_not_received`, …"""
    status: DisputeStatus
    closed: bool
    charge_refundable: bool
    """Whether the payment can still be refunded."""
    evidence_due_by: datetime | None
    """Until when evidence may be given at the gateway; null where the bank takes none."""
    amount_withdrawn: int
    """What the dispute has taken from our balance and not given back, without fees."""
    opened_at: datetime
    updated_at: datetime


class DisputePage(Answered):
    items: list[DisputeAnswer]
    next_cursor: str | None
