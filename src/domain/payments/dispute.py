"""A dispute (chargeback or inquiry) that a cardholder's bank opened against a payment."""

from dataclasses import dataclass
from datetime import datetime

from domain.payments.dispute_status import DISPUTE_TRANSITIONS, DisputeStatus
from domain.payments.gateway import DisputeSnapshot
from domain.payments.verdict import Verdict
from domain.shared.states import reachable

_AHEAD = reachable(DISPUTE_TRANSITIONS)


@dataclass(slots=True, kw_only=True)
class Dispute:
    """A dispute as the gateway told of it last; its fields are `DisputeSnapshot`'s."""

    gateway_dispute_id: str
    payment_id: str
    amount: int
    currency: str
    reason: str
    status: DisputeStatus
    charge_refundable: bool
    evidence_due_by: datetime | None
    amount_withdrawn: int
    opened_at: datetime
    updated_at: datetime
    reminded: bool = False
    """Whether the operator was told that the time for evidence is nearly over."""
    movements: int = 0
    """How often it has taken money or given it back: each of them is a fact of the ledger."""

    @classmethod
    def of(cls, snapshot: DisputeSnapshot, payment_id: str, now: datetime) -> "Dispute":
        """A dispute that we hear of for the first time."""
        return cls(
            gateway_dispute_id=snapshot.gateway_dispute_id,
            payment_id=payment_id,
            amount=snapshot.amount,
            currency=snapshot.currency,
            reason=snapshot.reason,
            status=snapshot.status,
            charge_refundable=snapshot.charge_refundable,
            evidence_due_by=snapshot.evidence_due_by,
            amount_withdrawn=snapshot.amount_withdrawn,
            opened_at=snapshot.opened_at,
            updated_at=now,
        )

    def knows(self, snapshot: DisputeSnapshot) -> bool:
        """Whether taking over this report would change nothing."""
        return all(getattr(self, name) == getattr(snapshot, name) for name in _CHANGING)

    def judge(self, snapshot: DisputeSnapshot) -> Verdict:
        """What a report that may be old or repeated is worth."""
        if self.knows(snapshot):
            return Verdict.NOTHING_NEW
        if snapshot.status is self.status:
            return Verdict.FETCH  # details change both ways: it may be older than what we know
        if snapshot.status not in _AHEAD[self.status]:
            return Verdict.NOTHING_NEW
        # Around an appeal a state is passed twice, and only the gateway knows which time this was.
        return Verdict.FETCH if self.status in _AHEAD[snapshot.status] else Verdict.RECORDED

    def take_over(self, snapshot: DisputeSnapshot, now: datetime) -> None:
        for name in _CHANGING:
            setattr(self, name, getattr(snapshot, name))
        self.updated_at = now


_CHANGING = ("amount", "reason", "status", "charge_refundable", "evidence_due_by", "amount_withdrawn")
