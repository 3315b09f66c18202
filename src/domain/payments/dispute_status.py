"""The states of a dispute, and what may follow what; only the gateway moves one."""

from domain.shared.states import State, Transitions


class DisputeStatus(State):
    """A dispute's states in the gateway's own words (https://docs.stripe.com/api/disputes/object)."""

    WARNING_NEEDS_RESPONSE = (
        "warning_needs_response",
        "The bank inquires; no money has moved, and a refund in full ends it.",
    )
    WARNING_UNDER_REVIEW = "warning_under_review", "The bank looks at our answer to its inquiry."
    WARNING_CLOSED = "warning_closed", "The inquiry ended without a chargeback."
    PREVENTED = "prevented", "It was resolved before it became a chargeback."
    NEEDS_RESPONSE = "needs_response", "A chargeback: the money is withdrawn, and evidence is due."
    UNDER_REVIEW = "under_review", "The bank looks at our evidence; that may take months."
    WON = "won", "The bank decided for us, and the money is given back."
    LOST = "lost", "The bank decided for the cardholder, or we accepted; the money stays gone."
    APPEAL_NEEDS_RESPONSE = "appeal_needs_response", "The decision against us may still be appealed."
    APPEAL_UNDER_REVIEW = "appeal_under_review", "The bank looks at our appeal."

    @property
    def closed(self) -> bool:
        return self in _CLOSED

    @property
    def awaits_evidence(self) -> bool:
        return self in _AWAIT_EVIDENCE


_CLOSED = frozenset(
    {DisputeStatus.WARNING_CLOSED, DisputeStatus.PREVENTED, DisputeStatus.WON, DisputeStatus.LOST}
)
_AWAIT_EVIDENCE = frozenset(
    {
        DisputeStatus.WARNING_NEEDS_RESPONSE,
        DisputeStatus.NEEDS_RESPONSE,
        DisputeStatus.APPEAL_NEEDS_RESPONSE,
    }
)

_D = DisputeStatus

DISPUTE_TRANSITIONS: Transitions[DisputeStatus] = {
    None: {_D.WARNING_NEEDS_RESPONSE: "the bank inquires", _D.NEEDS_RESPONSE: "a chargeback"},
    _D.WARNING_NEEDS_RESPONSE: {
        _D.WARNING_UNDER_REVIEW: "evidence is given",
        _D.WARNING_CLOSED: "refunded, or not pursued",
        _D.PREVENTED: "resolved before it was one",
        _D.NEEDS_RESPONSE: "it becomes a chargeback",
    },
    _D.WARNING_UNDER_REVIEW: {
        _D.WARNING_CLOSED: "not pursued",
        _D.NEEDS_RESPONSE: "it becomes a chargeback",
    },
    _D.WARNING_CLOSED: {},
    _D.PREVENTED: {},
    _D.NEEDS_RESPONSE: {_D.UNDER_REVIEW: "evidence is given", _D.LOST: "accepted, or not answered in time"},
    _D.UNDER_REVIEW: {_D.WON: "the bank decides for us", _D.LOST: "the bank decides against us"},
    _D.WON: {},
    _D.LOST: {_D.APPEAL_NEEDS_RESPONSE: "an appeal is open"},
    _D.APPEAL_NEEDS_RESPONSE: {_D.APPEAL_UNDER_REVIEW: "the appeal is made", _D.LOST: "no appeal is made"},
    _D.APPEAL_UNDER_REVIEW: {_D.WON: "the appeal succeeds", _D.LOST: "the appeal fails"},
}
"""https://docs.stripe.com/disputes/how-disputes-work; only the gateway moves a dispute."""
