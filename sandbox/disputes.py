"""Disputes and inquiries. Source: https://docs.stripe.com/disputes and /testing#disputes."""

from typing import Any

from sandbox import shapes
from sandbox.cards import METHODS, Card
from sandbox.charges import SOON_SECONDS, move_balance
from sandbox.errors import ApiError
from sandbox.listing import list_objects
from sandbox.session import Session, merge_metadata

Json = dict[str, Any]

_RESPONSE_SECONDS = 9 * 86400
_OPEN = ("needs_response", "warning_needs_response")
_UNDER_REVIEW = {"needs_response": "under_review", "warning_needs_response": "warning_under_review"}


def open_dispute(session: Session, charge_id: str) -> None:
    """What the test cards that are disputed bring about by themselves."""
    charge = session.get("charge", charge_id)
    card = METHODS[session.hidden(charge["payment_method"])["token"]]
    assert isinstance(card, Card)
    assert card.dispute is not None
    dispute_charge(session, charge, reason=card.dispute, inquiry=card.inquiry)


def dispute_charge(session: Session, before: Json, *, reason: str, inquiry: bool) -> Json:
    due_by = session.now + _RESPONSE_SECONDS
    dispute = shapes.dispute(
        session.new_id("dispute"), session.now, before, reason=reason, inquiry=inquiry, due_by=due_by
    )
    session.insert(dispute)
    session.later(_RESPONSE_SECONDS, "overdue_dispute", dispute["id"])
    charge = session.save({**before, "disputed": True})
    session.emit("charge.updated", charge, before=before)
    if not inquiry:
        dispute = _move_funds(session, dispute, -dispute["amount"])
    session.emit("charge.dispute.created", dispute)
    if not inquiry:
        session.emit("charge.dispute.funds_withdrawn", dispute)
    return dispute


def _move_funds(session: Session, dispute: Json, amount: int) -> Json:
    charge = session.get("charge", dispute["charge"])
    transaction = move_balance(session, charge, amount, type="adjustment", source=dispute["id"])
    moved = session.get("balance_transaction", transaction)
    return session.save({**dispute, "balance_transactions": [*dispute["balance_transactions"], moved]})


def retrieve_dispute(session: Session, params: Json, dispute_id: str) -> Json:
    return session.get("dispute", dispute_id)


def update_dispute(session: Session, params: Json, dispute_id: str) -> Json:
    """Evidence is staged, or with `submit` (Stripe's default) sent to the bank, which decides later."""
    before = session.get("dispute", dispute_id)
    after = {**before, "metadata": merge_metadata(before["metadata"], params.get("metadata"))}
    evidence = params.get("evidence")
    if evidence is not None:
        if before["status"] not in _OPEN:
            raise ApiError(
                f"This dispute has a status of {before['status']}; no more evidence can be given.",
                param="evidence",
            )
        given = {name: value or None for name, value in evidence.items()}
        after["evidence"] = {**before["evidence"], **given}
        after["evidence_details"] = {**before["evidence_details"], "has_evidence": True}
        if params.get("submit", True):
            count = before["evidence_details"]["submission_count"] + 1
            after["evidence_details"]["submission_count"] = count
            after["status"] = _UNDER_REVIEW[before["status"]]
            session.later(SOON_SECONDS, "decide_dispute", dispute_id)
    session.save(after)
    session.emit("charge.dispute.updated", after, before=before)
    return after


def decide_dispute(session: Session, dispute_id: str) -> None:
    """Stripe's magic words in `uncategorized_text` decide; without them the bank goes on reviewing."""
    dispute = session.get("dispute", dispute_id)
    text = dispute["evidence"]["uncategorized_text"]
    if dispute["status"] == "warning_under_review":
        if text == "escalate_inquiry_evidence":
            _escalate(session, dispute)
        elif text in ("winning_evidence", "losing_evidence"):
            _close(session, dispute, "warning_closed")
    elif dispute["status"] == "under_review":
        if text == "winning_evidence":
            dispute = _move_funds(session, dispute, dispute["amount"])
            _close(session, dispute, "won")
            session.emit("charge.dispute.funds_reinstated", session.get("dispute", dispute_id))
        elif text == "losing_evidence":
            _close(session, dispute, "lost")


def _escalate(session: Session, before: Json) -> None:
    """The inquiry becomes a chargeback: the money goes, and the charge cannot be refunded any more."""
    details = before["payment_method_details"]
    card = {**details["card"], "case_type": "chargeback"}
    after = {
        **before,
        "is_charge_refundable": False,
        "payment_method_details": {**details, "card": card},
        "status": "needs_response",
    }
    after = _move_funds(session, after, -after["amount"])
    session.emit("charge.dispute.updated", after, before=before)
    session.emit("charge.dispute.funds_withdrawn", after)


def _close(session: Session, dispute: Json, status: str) -> Json:
    after = session.save({**dispute, "status": status})
    session.emit("charge.dispute.closed", after, before=dispute)
    return after


def close_dispute(session: Session, params: Json, dispute_id: str) -> Json:
    """Accept it: the dispute is lost."""
    dispute = session.get("dispute", dispute_id)
    if dispute["status"] != "needs_response":
        raise ApiError(f"This dispute has a status of {dispute['status']} and cannot be closed.")
    return _close(session, dispute, "lost")


def overdue_dispute(session: Session, dispute_id: str) -> None:
    """No answer in time loses a dispute and ends an inquiry."""
    dispute = session.get("dispute", dispute_id)
    if dispute["status"] in _OPEN:
        overdue = {**dispute, "evidence_details": {**dispute["evidence_details"], "past_due": True}}
        _close(session, overdue, "lost" if dispute["status"] == "needs_response" else "warning_closed")


def close_refunded_inquiry(session: Session, charge: Json) -> None:
    """A full refund answers an inquiry."""
    if not charge["refunded"]:
        return
    for dispute in session.children("dispute", "charge", charge["id"]):
        if dispute["status"].startswith("warning_") and dispute["status"] != "warning_closed":
            _close(session, dispute, "warning_closed")


def list_disputes(session: Session, params: Json) -> Json:
    return list_objects(session, "dispute", "/v1/disputes", params, ("charge", "payment_intent"))
