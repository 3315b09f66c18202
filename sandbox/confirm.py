"""Confirming an intent: authentication, the attempt at the money, and what comes of it."""

from typing import Any

from sandbox.cards import BANK_FAILURES, DECLINES, BankAccount, Card, Decline
from sandbox.charges import (
    authorize_charge,
    decline_charge,
    make_charge,
    method_of,
    settle_charge,
    take_charge,
)
from sandbox.errors import ApiError
from sandbox.methods import card_error, check_owner, check_unused, keep_with
from sandbox.session import Session, random_text

Json = dict[str, Any]

_AUTHENTICATION_FAILURE = Decline(
    "payment_intent_authentication_failure",
    "",
    "The provided PaymentMethod has failed authentication. You can provide payment_method_data or a new "
    "PaymentMethod to attempt to fulfill this PaymentIntent again.",
)


def confirm(session: Session, intent: Json, params: Json) -> Json:
    """Attempt `intent` with its payment method. `params` are the confirmation's own.

    Raises:
        ApiError: 402 where it is declined; the failed charge and the intent's state stay.
    """
    if intent["payment_method"] is None:
        raise ApiError(
            "You cannot confirm this PaymentIntent because it's missing a payment method. You can either update "
            "the PaymentIntent with a payment method and then confirm it again, or confirm it again directly "
            "with a payment method or ConfirmationToken.",
            code="payment_intent_unexpected_state",
            payment_intent=intent,
        )
    method = session.get("payment_method", intent["payment_method"], "payment_method")
    check_owner(method, intent["customer"])
    check_unused(session, method)
    _check_type(intent, method)
    _check_session(intent, params)
    _check_return_url(intent, params)
    test = method_of(session, method)
    if isinstance(test, BankAccount):
        return _debit(session, intent, method, test)
    if _needs_authentication(session, test, method):
        return _require_action(session, intent, method, params)
    return attempt(session, intent, method, authenticated=False)


def _check_type(intent: Json, method: Json) -> None:
    if method["type"] not in intent["payment_method_types"]:
        raise ApiError(
            f"The PaymentMethod provided ({method['type']}) is not allowed for this PaymentIntent. Please attach a "
            "PaymentMethod of one of the following types: "
            f"{', '.join(intent['payment_method_types'])}.",
            param="payment_method",
        )
    if method["type"] == "card" and intent["statement_descriptor"] is not None:
        raise ApiError(
            "The `statement_descriptor` parameter is not supported for the `card` payment method type. "
            "Use `statement_descriptor_suffix` instead.",
            code="payment_intent_invalid_parameter",
            param="statement_descriptor",
        )


def _check_session(intent: Json, params: Json) -> None:
    """A method is set up for future payments only while the customer is there."""
    if params.get("off_session") and intent["setup_future_usage"]:
        raise ApiError(
            "You cannot confirm with `off_session=true` when `setup_future_usage` is also set on the PaymentIntent. "
            "The customer needs to be on-session to perform the steps which may be required to set up the "
            "PaymentMethod for future usage. Please confirm this PaymentIntent with your customer on-session.",
            param="off_session",
        )


def _check_return_url(intent: Json, params: Json) -> None:
    """Dashboard-managed methods may redirect, so Stripe wants to know where to return to."""
    automatic = intent["automatic_payment_methods"]
    if automatic and automatic["allow_redirects"] == "always" and not params.get("return_url"):
        raise ApiError(
            "This PaymentIntent is configured to accept payment methods enabled in your Dashboard. Because some of "
            "these payment methods might redirect your customer off of your page, you must provide a `return_url`. "
            "If you don't want to accept redirect-based payment methods, set `automatic_payment_methods[enabled]` "
            "to `true` and `automatic_payment_methods[allow_redirects]` to `never` when creating Setup Intents and "
            "Payment Intents.",
            param="return_url",
        )


def _needs_authentication(session: Session, card: Card, method: Json) -> bool:
    if card.authentication == "unless_set_up":
        return not session.hidden(method["id"]).get("set_up", False)
    return card.authentication == "always"


def _require_action(session: Session, intent: Json, method: Json, params: Json) -> Json:
    if params.get("off_session"):
        charge = make_charge(session, intent, method, authenticated=False, multicapture=False)
        decline = DECLINES["authentication_required"]
        return _fail(session, intent, method, decline, decline_charge(session, charge, decline))
    if params.get("error_on_requires_action"):
        refusal = Decline(
            "payment_intent_action_required",
            "",
            "This payment required an authentication action to complete, but `error_on_requires_action` was set.",
        )
        return _fail(session, intent, method, refusal, None)
    challenge = random_text(24)
    session.hide(intent["id"], challenge=challenge, return_url=params.get("return_url"))
    url = f"{session.base_url}/_sandbox/authenticate/{intent['id']}/{challenge}"
    action: Json
    if params.get("return_url"):
        action = {
            "type": "redirect_to_url",
            "redirect_to_url": {"return_url": params["return_url"], "url": url},
        }
    else:
        source = f"src_{challenge}"
        action = {
            "type": "use_stripe_sdk",
            "use_stripe_sdk": {"type": "three_d_secure_redirect", "stripe_js": url, "source": source},
        }
    after = {**intent, "status": "requires_action", "next_action": action, "last_payment_error": None}
    session.save(after)
    session.emit("payment_intent.requires_action", after)
    return after


def attempt(session: Session, intent: Json, method: Json, *, authenticated: bool) -> Json:
    """Charge the card, the cardholder's identity being settled."""
    card = method_of(session, method)
    assert isinstance(card, Card)
    multicapture = card.multicapture and bool(session.hidden(intent["id"]).get("multicapture"))
    charge = make_charge(session, intent, method, authenticated=authenticated, multicapture=multicapture)
    if card.decline is not None:
        decline = DECLINES[card.decline]
        return _fail(session, intent, method, decline, decline_charge(session, charge, decline))
    _keep_method(session, intent, method, authenticated=authenticated)
    after = {**intent, "next_action": None, "last_payment_error": None, "latest_charge": charge["id"]}
    if intent["capture_method"] == "manual":
        charge = authorize_charge(session, charge)
        after |= {"status": "requires_capture", "amount_capturable": intent["amount"]}
        session.save(after)
        session.later(
            charge["payment_method_details"]["card"]["capture_before"] - session.now,
            "expire_authorization",
            intent["id"],
        )
        session.emit("payment_intent.amount_capturable_updated", after)
        return after
    take_charge(session, charge, posts_at_once=intent["capture_method"] == "automatic")
    after |= {"status": "succeeded", "amount_received": intent["amount"]}
    session.save(after)
    session.emit("payment_intent.succeeded", after)
    return after


def _keep_method(session: Session, intent: Json, method: Json, *, authenticated: bool) -> None:
    """Save the method with the customer where asked; one kept by nobody pays only once."""
    if intent["setup_future_usage"] and intent["customer"] and method["customer"] is None:
        keep_with(session, method, intent["customer"])
    elif method["customer"] is None:
        session.hide(method["id"], spent=True)
    if authenticated and intent["setup_future_usage"]:
        session.hide(method["id"], set_up=True)


def _fail(session: Session, intent: Json, method: Json, decline: Decline, charge: Json | None) -> Json:
    after, error = _failed(intent, method, decline, charge)
    session.save(after)
    session.emit("payment_intent.payment_failed", after)
    charge_id = {"charge": charge["id"]} if charge else {}
    raised = card_error(decline, payment_intent=after, payment_method=error["payment_method"], **charge_id)
    if not decline.decline_code:
        del raised.details["decline_code"]
    raise raised


def _failed(intent: Json, method: Json, decline: Decline, charge: Json | None) -> tuple[Json, Json]:
    """The intent back at `requires_payment_method`, and its `last_payment_error`."""
    error: Json = {
        "code": decline.code,
        "doc_url": f"https://stripe.com/docs/error-codes/{decline.code.replace('_', '-')}",
        "message": decline.message,
        "payment_method": method,
        "type": "card_error" if decline.decline_code else "invalid_request_error",
    }
    if decline.decline_code:
        error["decline_code"] = decline.decline_code
    if charge is not None:
        error["charge"] = charge["id"]
    after = {
        **intent,
        "last_payment_error": error,
        "latest_charge": charge["id"] if charge else intent["latest_charge"],
        "next_action": None,
        "payment_method": None,
        "processing": None,
        "status": "requires_payment_method",
    }
    return after, error


def complete_authentication(session: Session, intent: Json) -> Json:
    """The cardholder proved to be who they are; the bank may still decline. The intent as it ends up."""
    method = session.get("payment_method", intent["payment_method"])
    session.hide(intent["id"], challenge=None)
    try:
        return attempt(session, intent, method, authenticated=True)
    except ApiError as declined:
        if not declined.saves_work:
            raise
        return session.get("payment_intent", intent["id"])


def fail_authentication(session: Session, intent: Json) -> Json:
    method = session.get("payment_method", intent["payment_method"])
    session.hide(intent["id"], challenge=None)
    after, _ = _failed(intent, method, _AUTHENTICATION_FAILURE, None)
    session.save(after)
    session.emit("payment_intent.payment_failed", after)
    return after


def _debit(session: Session, intent: Json, method: Json, account: BankAccount) -> Json:
    """A bank debit: under way now, decided later."""
    if intent["currency"] != account.currency or intent["capture_method"] == "manual":
        raise ApiError(
            f"{account.type} payments are in {account.currency} and cannot be captured manually.",
            code="payment_intent_invalid_parameter",
            param="payment_method",
        )
    _keep_method(session, intent, method, authenticated=False)
    charge = make_charge(session, intent, method, authenticated=False, multicapture=False)
    charge |= {"paid": False, "status": "pending"}
    session.insert(charge)
    session.emit("charge.pending", charge)
    after = {
        **intent,
        "last_payment_error": None,
        "latest_charge": charge["id"],
        "next_action": None,
        "status": "processing",
    }
    session.save(after)
    session.emit("payment_intent.processing", after)
    if account.outcome != "processes":
        session.later(account.seconds, "settle_debit", intent["id"])
    return after


def settle_debit(session: Session, intent_id: str) -> None:
    intent = session.get("payment_intent", intent_id)
    if intent["status"] != "processing":
        return
    charge = session.get("charge", intent["latest_charge"])
    method = session.get("payment_method", charge["payment_method"])
    account = method_of(session, method)
    assert isinstance(account, BankAccount)
    failure = BANK_FAILURES.get(account.outcome)
    charge = settle_charge(session, charge, account, failure)
    if failure is not None:
        after, _ = _failed(intent, method, Decline(account.outcome, account.outcome, failure), charge)
        after["last_payment_error"]["type"] = "invalid_request_error"
        session.save(after)
        session.emit("payment_intent.payment_failed", after)
        return
    after = {**intent, "status": "succeeded", "amount_received": intent["amount"]}
    session.save(after)
    session.emit("payment_intent.succeeded", after)
