"""Refunds: never more than was captured; some succeed later, some fail after they succeeded."""

from typing import Any

from sandbox import shapes
from sandbox.cards import BankAccount
from sandbox.charges import SOON_SECONDS, method_of, move_balance
from sandbox.disputes import close_refunded_inquiry
from sandbox.errors import ApiError
from sandbox.listing import list_objects
from sandbox.money import check_currency
from sandbox.session import Session, merge_metadata

Json = dict[str, Any]

_UNSUPPORTED = ("customer", "origin", "refund_application_fee", "reverse_transfer")


def create_refund(session: Session, params: Json) -> Json:
    for name in _UNSUPPORTED:
        if name in params:
            raise ApiError(f"The sandbox does not support {name}.", param=name)
    charge = _charge(session, params)
    _check_refundable(session, charge)
    amount = params.get("amount", _left(charge))
    _check_amount(charge, amount)
    if "currency" in params and check_currency(params["currency"]) != charge["currency"]:
        raise ApiError("The currency does not match the charge's.", param="currency")
    refund = shapes.refund(session.new_id("refund"), session.now, charge, amount)
    refund |= {"metadata": merge_metadata({}, params.get("metadata")), "reason": params.get("reason")}
    behaviour = _behaviour(session, charge)
    if behaviour == "pends":
        refund["status"] = "pending"
    refund["balance_transaction"] = move_balance(session, charge, -amount, type="refund", source=refund["id"])
    session.insert(refund)
    refunded = charge["amount_refunded"] + amount
    all_of_it = charge["captured"] and refunded == charge["amount_captured"]
    after = {**charge, "amount_refunded": refunded, "refunded": all_of_it}
    session.save(after)
    if behaviour != "succeeds":
        session.later(SOON_SECONDS, "settle_refund" if behaviour == "pends" else "fail_refund", refund["id"])
    session.emit("refund.created", refund)
    session.emit("charge.refunded", after, before=charge)
    close_refunded_inquiry(session, after)
    return refund


def _charge(session: Session, params: Json) -> Json:
    if "payment_intent" in params and "charge" in params:
        raise ApiError(
            "You may only specify one of these parameters: charge, payment_intent.", param="payment_intent"
        )
    if "charge" in params:
        return session.get("charge", params["charge"], "charge")
    if "payment_intent" not in params:
        raise ApiError(
            "One of the following params should be provided for this request: payment_intent or charge.",
            code="parameter_missing",
        )
    intent = session.get("payment_intent", params["payment_intent"], "payment_intent")
    charge = session.find("charge", intent["latest_charge"]) if intent["latest_charge"] else None
    if charge is None or charge["status"] != "succeeded":
        raise ApiError(
            f"This PaymentIntent ({intent['id']}) does not have a successful charge to refund.",
            code="payment_intent_unexpected_state",
            param="payment_intent",
            payment_intent=intent,
        )
    return charge


def _left(charge: Json) -> int:
    """What can still be refunded."""
    left: int = charge["amount_captured"] - charge["amount_refunded"]
    return left


def _check_refundable(session: Session, charge: Json) -> None:
    if charge["status"] != "succeeded" or charge["amount_captured"] == 0:
        raise ApiError(
            f"Charge {charge['id']} has not been captured and cannot be refunded; cancel its PaymentIntent instead.",
            code="charge_not_refundable",
            param="charge",
        )
    disputes = session.children("dispute", "charge", charge["id"])
    if any(not dispute["is_charge_refundable"] for dispute in disputes):
        raise ApiError(
            f"Charge {charge['id']} has been charged back; cannot issue a refund.",
            code="charge_disputed",
            charge=charge["id"],
        )
    if _left(charge) == 0:
        raise ApiError(
            f"Charge {charge['id']} has already been refunded.",
            code="charge_already_refunded",
            charge=charge["id"],
        )


def _check_amount(charge: Json, amount: int) -> None:
    if amount < 1:
        raise ApiError(
            "This value must be greater than or equal to 1.", code="parameter_invalid_integer", param="amount"
        )
    if amount > _left(charge):
        raise ApiError(
            f"Refund amount ({amount} {charge['currency']}) is greater than unrefunded amount on charge "
            f"({_left(charge)} {charge['currency']})",
            code="amount_too_large",
            param="amount",
        )


def _behaviour(session: Session, charge: Json) -> str:
    method = method_of(session, session.get("payment_method", charge["payment_method"]))
    # A refund to a bank account takes days, like the debit did.
    return "pends" if isinstance(method, BankAccount) else method.refund


def _updated(session: Session, after: Json, before: Json, *more: str) -> None:
    session.save(after)
    for event in ("refund.updated", *more, "charge.refund.updated"):
        session.emit(event, after, before=before)


def settle_refund(session: Session, refund_id: str) -> None:
    before = session.get("refund", refund_id)
    if before["status"] == "pending":
        _updated(session, {**before, "status": "succeeded"}, before)


def fail_refund(session: Session, refund_id: str) -> None:
    """The bank sent the money back: it is ours again, though the refund had succeeded."""
    before = session.get("refund", refund_id)
    charge = session.get("charge", before["charge"])
    transaction = move_balance(session, charge, before["amount"], type="refund_failure", source=refund_id)
    refunded = charge["amount_refunded"] - before["amount"]
    session.save({**charge, "amount_refunded": refunded, "refunded": False})
    after = {
        **before,
        "failure_balance_transaction": transaction,
        "failure_reason": "expired_or_canceled_card",
        "status": "failed",
    }
    _updated(session, after, before, "refund.failed")


def retrieve_refund(session: Session, params: Json, refund_id: str) -> Json:
    return session.get("refund", refund_id)


def update_refund(session: Session, params: Json, refund_id: str) -> Json:
    before = session.get("refund", refund_id)
    after = {**before, "metadata": merge_metadata(before["metadata"], params.get("metadata"))}
    _updated(session, after, before)
    return after


def cancel_refund(session: Session, params: Json, refund_id: str) -> Json:
    refund = session.get("refund", refund_id)
    raise ApiError(
        f"Refund {refund_id} cannot be canceled because it has a status of {refund['status']}. "
        "Only a refund that waits for the customer's action (`requires_action`) may be canceled.",
    )


def list_refunds(session: Session, params: Json) -> Json:
    return list_objects(session, "refund", "/v1/refunds", params, ("charge", "payment_intent"))
