"""Charges: the attempts at an intent's money, and the balance they move."""

from typing import Any

from sandbox import shapes
from sandbox.balance import plan_payout
from sandbox.cards import METHODS, BankAccount, Card, Decline, Method
from sandbox.listing import list_objects
from sandbox.money import processing_fee
from sandbox.session import Session, merge_metadata

Json = dict[str, Any]

AUTHORIZATION_SECONDS = 7 * 86400
SOON_SECONDS = 1.0  # how long "later" lasts where Stripe takes minutes or days
_DISPUTE_FEE = 1500


def method_of(session: Session, method: Json) -> Method:
    """The test method behind a payment method."""
    return METHODS[session.hidden(method["id"])["token"]]


def make_charge(
    session: Session, intent: Json, method: Json, *, authenticated: bool, multicapture: bool
) -> Json:
    charge = shapes.charge(session.new_id("charge"), session.now, intent, method)
    if method["type"] == "card":
        charge["payment_method_details"] = shapes.charged_card(
            method, intent["amount"], authenticated=authenticated, multicapture=multicapture
        )
    else:
        kind = method["type"]
        details = {name: value for name, value in method[kind].items() if name != "generated_from"}
        details["mandate"] = None
        if kind == "us_bank_account":
            details["payment_reference"] = None
        charge["payment_method_details"] = {"type": kind, kind: details}
    return charge


def decline_charge(session: Session, charge: Json, decline: Decline) -> Json:
    charge = {
        **charge,
        "failure_code": decline.code,
        "failure_message": decline.message,
        "outcome": {
            **charge["outcome"],
            "network_decline_code": "05",
            "network_status": "declined_by_network",
            "reason": decline.decline_code,
            "seller_message": "The bank did not return any further details with this decline.",
            "type": "issuer_declined",
        },
        "paid": False,
        "receipt_url": None,
        "status": "failed",
    }
    session.insert(charge)
    session.emit("charge.failed", charge)
    return charge


def authorize_charge(session: Session, charge: Json) -> Json:
    """Hold the funds: the charge succeeded and is not captured."""
    card = {**charge["payment_method_details"]["card"], "capture_before": session.now + AUTHORIZATION_SECONDS}
    charge = {**charge, "payment_method_details": {"type": "card", "card": card}}
    session.insert(charge)
    session.emit("charge.succeeded", charge)
    return charge


def take_charge(session: Session, charge: Json, *, posts_at_once: bool) -> Json:
    """Take the funds. With `automatic_async` Stripe posts them to the balance a little later."""
    charge = {**charge, "amount_captured": charge["amount"], "captured": True}
    session.insert(charge)
    if posts_at_once:
        charge = post_to_balance(session, charge, charge["amount"])
    else:
        session.later(SOON_SECONDS, "post_to_balance", charge["id"])
    session.emit("charge.succeeded", charge)
    after_success(session, charge)
    return charge


def after_success(session: Session, charge: Json) -> None:
    """Some test cards are disputed as soon as the money is taken."""
    card = METHODS[session.hidden(charge["payment_method"])["token"]]
    if isinstance(card, Card) and card.dispute is not None:
        session.later(SOON_SECONDS, "open_dispute", charge["id"])


def post_to_balance(session: Session, charge: Json, amount: int) -> Json:
    transaction = move_balance(session, charge, amount, type="charge", source=charge["id"])
    return session.save({**charge, "balance_transaction": transaction})


def post_later(session: Session, charge_id: str) -> None:
    before = session.get("charge", charge_id)
    if before["balance_transaction"] is None:
        session.emit(
            "charge.updated", post_to_balance(session, before, before["amount_captured"]), before=before
        )


def move_balance(session: Session, charge: Json, amount: int, *, type: str, source: str) -> str:
    """Record a balance transaction; its id. `amount` is negative where money leaves."""
    fee = 0
    if type == "charge":
        fee = processing_fee(amount, charge["currency"])
    elif type == "adjustment" and amount < 0:
        fee = _DISPUTE_FEE
    transaction = shapes.balance_transaction(
        session.new_id("balance_transaction"),
        session.now,
        amount=amount,
        fee=fee,
        currency=charge["currency"],
        source=source,
        type=type,
    )
    session.insert(transaction)
    plan_payout(session, transaction)
    return str(transaction["id"])


def capture_charge(session: Session, charge: Json, amount: int, *, final: bool) -> Json:
    """Take part of the hold. The final capture releases the rest, which is no refund.

    https://docs.stripe.com/changelog/basil/2025-03-31/remove-refund-from-partial-capture-and-payment-cancellation-flow
    """
    after = {**charge, "amount_captured": charge["amount_captured"] + amount, "captured": final}
    if amount:
        transaction = move_balance(session, charge, amount, type="charge", source=charge["id"])
        after["balance_transaction"] = charge["balance_transaction"] or transaction
    session.save(after)
    if charge["payment_method_details"]["card"]["multicapture"]["status"] == "available":
        session.emit("charge.updated", after, before=charge)
    if final:
        session.emit("charge.captured", after, before=charge)
        after_success(session, after)
    return after


def release_charge(session: Session, charge_id: str, *, expired: bool) -> None:
    """Give the held funds back. Nothing of it is a refund, and only an expiry has an event of the charge.

    What was captured in parts before counts as captured finally then.
    """
    charge = session.get("charge", charge_id)
    captured = charge["amount_captured"] > 0
    after = {**charge, "captured": captured}
    session.save(after)
    if expired:
        session.emit("charge.captured" if captured else "charge.expired", after, before=charge)


def settle_charge(session: Session, charge: Json, account: BankAccount, failure: str | None) -> Json:
    """A bank's word on a pending charge: `failure` is its message, None where it paid."""
    if failure is not None:
        after = {
            **charge,
            "failure_code": account.outcome,
            "failure_message": failure,
            "paid": False,
            "status": "failed",
        }
        session.save(after)
        session.emit("charge.failed", after)
        return after
    after = {
        **charge,
        "amount_captured": charge["amount"],
        "captured": True,
        "paid": True,
        "status": "succeeded",
    }
    session.save(after)
    after = post_to_balance(session, after, charge["amount"])
    session.emit("charge.succeeded", after)
    return after


def retrieve_charge(session: Session, params: Json, charge_id: str) -> Json:
    return session.get("charge", charge_id)


def update_charge(session: Session, params: Json, charge_id: str) -> Json:
    before = session.get("charge", charge_id)
    after = {**before, "metadata": merge_metadata(before["metadata"], params.get("metadata"))}
    for name in ("description", "receipt_email", "shipping"):
        if name in params:
            after[name] = params[name] or None
    session.save(after)
    session.emit("charge.updated", after, before=before)
    return after


def list_charges(session: Session, params: Json) -> Json:
    return list_objects(session, "charge", "/v1/charges", params, ("customer", "payment_intent"))
