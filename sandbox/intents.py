"""Payment intents: made, changed, confirmed, captured, canceled."""

from typing import Any

from sandbox import shapes
from sandbox.amount_details import check_amount_details, shown
from sandbox.charges import capture_charge, release_charge
from sandbox.confirm import confirm
from sandbox.customers import check_email
from sandbox.errors import ApiError
from sandbox.listing import list_objects, page_limit
from sandbox.methods import check_owner, make_method, resolve_method
from sandbox.money import check_amount, check_currency
from sandbox.session import Session, merge_metadata, random_text

Json = dict[str, Any]

_CONFIRM_ONLY = ("return_url", "off_session", "error_on_requires_action", "mandate_data", "use_stripe_sdk")
_UNSUPPORTED = ("application_fee_amount", "confirmation_token", "customer_account", "mandate", "on_behalf_of",
                "transfer_data", "transfer_group")  # fmt: skip
_CONFIRMABLE = ("requires_payment_method", "requires_confirmation", "requires_action")
_CANCELABLE = (*_CONFIRMABLE, "requires_capture")


def create_intent(session: Session, params: Json) -> Json:
    _check_confirm_only(params)
    currency = check_currency(params["currency"])
    check_amount(params["amount"], currency)
    intent = shapes.payment_intent(session.new_id("payment_intent"), session.now, random_text(24))
    intent |= {"amount": params["amount"], "currency": currency}
    _choose_types(intent, params)
    session.insert(intent)
    intent = _apply(session, intent, params)
    session.save(intent)
    session.emit("payment_intent.created", intent)
    return confirm(session, intent, params) if params.get("confirm") else intent


def _check_confirm_only(params: Json) -> None:
    for name in _CONFIRM_ONLY:
        if name in params and not params.get("confirm"):
            raise ApiError(
                f"The parameter `{name}` cannot be passed when creating a PaymentIntent unless `confirm` is set to true.",
                param=name,
            )


def _choose_types(intent: Json, params: Json) -> None:
    """The Dashboard's methods, which may redirect, unless the request says otherwise."""
    automatic = params.get("automatic_payment_methods", {"enabled": True})
    if automatic["enabled"]:
        intent["automatic_payment_methods"] = {"allow_redirects": "always", **automatic}
        debits = {"usd": ["us_bank_account"], "eur": ["sepa_debit"]}
        intent["payment_method_types"] = ["card", *debits.get(intent["currency"], [])]


def _apply(session: Session, intent: Json, params: Json, *, amount: int | None = None) -> Json:
    """The intent with what create, update, confirm and capture have in common.

    `amount` is what the line items must add up to, where it is not the intent's.
    """
    for name in _UNSUPPORTED:
        if name in params:
            raise ApiError(f"The sandbox does not support {name}.", param=name)
    check_email(params.get("receipt_email"), "receipt_email")
    after = {**intent, "metadata": merge_metadata(intent["metadata"], params.get("metadata"))}
    for name in ("description", "receipt_email", "setup_future_usage", "shipping", "capture_method",
                 "confirmation_method", "excluded_payment_method_types"):  # fmt: skip
        if name in params:
            after[name] = params[name] or None
    if after["shipping"] is not None:
        after["shipping"] = {"carrier": None, "phone": None, "tracking_number": None, **after["shipping"]}
    if params.get("allowed_payment_method_types"):
        after["payment_method_types"] = params["allowed_payment_method_types"]
    _apply_descriptor(after, params)
    if "customer" in params:
        after["customer"] = session.get("customer", params["customer"], "customer")["id"]
    _apply_options(session, after, params)
    _apply_method(session, after, params)
    if "amount_details" in params:
        details = params["amount_details"] or {}
        error = check_amount_details(details, after["amount"] if amount is None else amount)
        session.hide(after["id"], line_items=details.get("line_items") or [])
        after["amount_details"] = shown(details, error)
    return after


def _apply_descriptor(after: Json, params: Json) -> None:
    for name in ("statement_descriptor", "statement_descriptor_suffix"):
        text = params.get(name)
        if text is None:
            continue
        if len(text) > 22 or any(character in text for character in "<>\\\"'*"):
            raise ApiError(
                f"The {name} must be at most 22 characters long and may not contain <, >, \\, ', \" or *.",
                param=name,
            )
        if text and not any(character.isascii() and character.isalpha() for character in text):
            raise ApiError(f"The {name} must contain at least one Latin character.", param=name)
        after[name] = text or None


def _apply_options(session: Session, after: Json, params: Json) -> None:
    options = params.get("payment_method_options")
    if options:
        for name, given in options.items():
            merged = {**after["payment_method_options"].get(name, {}), **(given or {})}
            after["payment_method_options"] = {**after["payment_method_options"], name: merged}
    if "card" in after["payment_method_types"]:
        card = shapes.card_options(after["payment_method_options"].get("card"))
        after["payment_method_options"] = {**after["payment_method_options"], "card": card}
        wanted = card.get("request_multicapture") == "if_available"
        session.hide(after["id"], multicapture=wanted and after["capture_method"] == "manual")


def _apply_method(session: Session, after: Json, params: Json) -> None:
    if params.get("payment_method_data"):
        method = make_method(session, params["payment_method_data"])
    elif params.get("payment_method"):
        method = resolve_method(session, params["payment_method"])
    else:
        return
    check_owner(method, after["customer"])
    after["payment_method"] = method["id"]
    if after["status"] in _CONFIRMABLE:
        after |= {"status": "requires_confirmation", "next_action": None}


def update_intent(session: Session, params: Json, intent_id: str) -> Json:
    before = session.get("payment_intent", intent_id, "intent")
    after = {**before}
    if "currency" in params:
        after["currency"] = check_currency(params["currency"])
    if "amount" in params:
        after["amount"] = params["amount"]
    if {"amount", "currency"} & params.keys():
        if before["status"] not in _CONFIRMABLE:
            raise ApiError(
                "This PaymentIntent's amount could not be updated because it has a status of "
                f"{before['status']}. You may only update the amount of a PaymentIntent with one of the following "
                f"statuses: {', '.join(_CONFIRMABLE)}.",
                code="payment_intent_unexpected_state",
                param="amount",
                payment_intent=before,
            )
        check_amount(after["amount"], after["currency"])
        if before["status"] == "requires_action":
            after |= {"status": "requires_confirmation", "next_action": None}
    if {"payment_method", "payment_method_data", "capture_method"} & params.keys():
        _check_status(before, _CONFIRMABLE, "updated")
    after = _apply(session, after, params)
    session.save(after)
    return after


def confirm_intent(session: Session, params: Json, intent_id: str) -> Json:
    intent = session.get("payment_intent", intent_id, "intent")
    if intent["status"] == "succeeded":
        raise ApiError(
            "You cannot confirm this PaymentIntent because it has already succeeded after being previously confirmed.",
            code="payment_intent_unexpected_state",
            payment_intent=intent,
        )
    _check_status(intent, _CONFIRMABLE, "confirmed")
    if intent["status"] == "requires_action":
        intent |= {"status": "requires_confirmation", "next_action": None}
    intent = _apply(session, intent, params)
    session.save(intent)
    return confirm(session, intent, params)


def capture_intent(session: Session, params: Json, intent_id: str) -> Json:
    intent = session.get("payment_intent", intent_id, "intent")
    _check_status(intent, ("requires_capture",), "captured")
    charge = session.get("charge", intent["latest_charge"])
    if charge["payment_method_details"]["card"]["capture_before"] <= session.now:
        raise ApiError(
            "The charge cannot be captured as the authorization has expired.",
            code="charge_expired_for_capture",
            payment_intent=intent,
        )
    final = params.get("final_capture", True)
    multicapture = charge["payment_method_details"]["card"]["multicapture"]["status"]
    if not final and multicapture != "available":
        raise ApiError(
            "Multicapture is not available for this PaymentIntent; `final_capture` cannot be false.",
            code="payment_intent_invalid_parameter",
            param="final_capture",
        )
    capturable: int = intent["amount_capturable"]
    amount: int = params.get("amount_to_capture", capturable)
    _check_capture(intent, amount, releases=final and intent["amount_received"] > 0)
    # Taking everything leaves nothing for a further capture.
    final = final or amount == intent["amount_capturable"]
    after = _apply(session, intent, params, amount=amount)
    charge = capture_charge(session, charge, amount, final=final)
    after["amount_received"] = charge["amount_captured"]
    after["amount_capturable"] = 0 if final else intent["amount_capturable"] - amount
    after["status"] = "succeeded" if final else "requires_capture"
    session.save(after)
    if multicapture == "available":
        session.emit("payment_intent.amount_capturable_updated", after)
    if final:
        session.emit("payment_intent.succeeded", after)
    return after


def _check_capture(intent: Json, amount: int, *, releases: bool) -> None:
    """Zero is allowed only to release what is left after earlier captures."""
    if amount > intent["amount_capturable"]:
        raise ApiError(
            f"The amount_to_capture ({amount}) is greater than the amount_capturable "
            f"({intent['amount_capturable']}) of the PaymentIntent.",
            code="amount_too_large",
            param="amount_to_capture",
            payment_intent=intent,
        )
    if amount < (0 if releases else 1):
        raise ApiError(
            "This value must be greater than or equal to 1.",
            code="parameter_invalid_integer",
            param="amount_to_capture",
        )


def cancel_intent(session: Session, params: Json, intent_id: str) -> Json:
    intent = session.get("payment_intent", intent_id, "intent")
    _check_status(intent, _CANCELABLE, "canceled")
    if intent["amount_received"]:
        raise ApiError(
            "You cannot cancel this PaymentIntent because it is partly captured; capture it finally instead.",
            code="payment_intent_unexpected_state",
            payment_intent=intent,
        )
    return void(session, intent, params.get("cancellation_reason"), expired=False)


def void(session: Session, intent: Json, reason: str | None, *, expired: bool) -> Json:
    after = {
        **intent,
        "amount_capturable": 0,
        "canceled_at": session.now,
        "cancellation_reason": reason,
        "next_action": None,
        "status": "canceled",
    }
    session.save(after)
    if intent["status"] == "requires_capture":
        release_charge(session, intent["latest_charge"], expired=expired)
    session.emit("payment_intent.canceled", after)
    return after


def expire_authorization(session: Session, intent_id: str) -> None:
    """Seven days after the authorization the hold is gone; what was captured before stays taken."""
    intent = session.get("payment_intent", intent_id)
    if intent["status"] != "requires_capture":
        return
    if not intent["amount_received"]:
        void(session, intent, "expired", expired=True)
        return
    release_charge(session, intent["latest_charge"], expired=True)
    after = {**intent, "amount_capturable": 0, "status": "succeeded"}
    session.save(after)
    session.emit("payment_intent.succeeded", after)


def _check_status(intent: Json, allowed: tuple[str, ...], participle: str) -> None:
    if intent["status"] not in allowed:
        verb = {"confirmed": "confirm", "captured": "capture", "canceled": "cancel", "updated": "update"}[
            participle
        ]
        raise ApiError(
            f"You cannot {verb} this PaymentIntent because it has a status of {intent['status']}. Only a PaymentIntent "
            f"with one of the following statuses may be {participle}: {', '.join(allowed)}.",
            code="payment_intent_unexpected_state",
            payment_intent=intent,
        )


def retrieve_intent(session: Session, params: Json, intent_id: str) -> Json:
    return session.get("payment_intent", intent_id, "intent")


def list_intents(session: Session, params: Json) -> Json:
    return list_objects(session, "payment_intent", "/v1/payment_intents", params, ("customer",))


def list_line_items(session: Session, params: Json, intent_id: str) -> Json:
    """The Level 3 lines, kept apart from the intent. One page of them holds all 200 at most."""
    intent = session.get("payment_intent", intent_id, "intent")
    limit = page_limit(params)
    lines = session.hidden(intent_id).get("line_items", [])
    shaped = [_line_item(intent, number, line) for number, line in enumerate(lines, 1)]
    ids = [line["id"] for line in shaped]
    start = ids.index(params["starting_after"]) + 1 if params.get("starting_after") in ids else 0
    url = f"/v1/payment_intents/{intent_id}/amount_details_line_items"
    page = shaped[start : start + limit]
    return {"object": "list", "data": page, "has_more": start + limit < len(shaped), "url": url}


def _line_item(intent: Json, number: int, line: Json) -> Json:
    return {
        "id": f"uli_{intent['id'][3:]}{number:03d}",
        "object": "payment_intent_amount_details_line_item",
        "discount_amount": line.get("discount_amount"),
        "payment_method_options": line.get("payment_method_options"),
        "product_code": line.get("product_code"),
        "product_name": line["product_name"],
        "quantity": line["quantity"],
        "tax": line.get("tax"),
        "unit_cost": line["unit_cost"],
        "unit_of_measure": line.get("unit_of_measure"),
    }
