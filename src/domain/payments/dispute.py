"""A dispute (chargeback or inquiry) that a cardholder's bank opened against a payment."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(slots=True, kw_only=True)
class Dispute:
    """`status` is the gateway's own word (https://docs.stripe.com/disputes/how-disputes-work)."""

    gateway_dispute_id: str
    payment_id: str
    amount: int
    currency: str
    reason: str
    status: str
    closed: bool
    opened_at: datetime
    updated_at: datetime
