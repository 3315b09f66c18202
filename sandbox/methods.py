"""Payment methods: made from Stripe's test tokens, kept with a customer."""

from typing import Any

from sandbox import shapes
from sandbox.cards import DECLINES, METHODS, Card, Decline
from sandbox.errors import ApiError, resource_missing
from sandbox.listing import list_objects
from sandbox.session import Session, merge_metadata

Json = dict[str, Any]


def resolve_method(session: Session, given: str, param: str = "payment_method") -> Json:
    """The payment method of that id; a test token makes a new one each time, as with Stripe.

    Raises:
        ApiError: `resource_missing`.
    """
    token = METHODS.get(given)
    if token is None:
        return session.get("payment_method", given, param)
    method = shapes.payment_method(session.new_id("payment_method"), session.now, token)
    return session.insert(method, {"token": given})


def make_method(session: Session, params: Json) -> Json:
    """From `type` and `card[token]=tok_…`. Card numbers are refused, as Stripe does by default.

    A sandbox that took them would invite code that handles them.
    """
    if params["type"] == "us_bank_account":
        token = _bank_token(params.get("us_bank_account") or {})
    elif params["type"] == "card":
        token = _card_token(params.get("card") or {})
    else:
        raise ApiError(f"The sandbox has no payment method type {params['type']}.", param="type")
    method = resolve_method(session, token)
    method["billing_details"] = shapes.billing_details(params.get("billing_details"))
    method["metadata"] = merge_metadata({}, params.get("metadata"))
    if "allow_redisplay" in params:
        method["allow_redisplay"] = params["allow_redisplay"]
    return session.save(method)


def _card_token(card: Json) -> str:
    if "number" in card:
        raise ApiError(
            "Sending credit card numbers directly to the Stripe API is generally unsafe. "
            "To continue processing use Stripe.js, the Stripe mobile bindings, or Stripe Elements.",
            status=402,
            param="card[number]",
        )
    token = f"pm_card_{card.get('token', '').removeprefix('tok_')}"
    if token not in METHODS:
        raise resource_missing("token", card.get("token", ""), "card[token]")
    return token


def _bank_token(account: Json) -> str:
    """By the account numbers that Stripe documents for ACH tests; their last four tell them apart."""
    number = account.get("account_number", "000123456789")
    for token, method in METHODS.items():
        if method.type == "us_bank_account" and number.endswith(method.last4):
            return token
    raise ApiError(
        "You must use a test bank account number in test mode.", param="us_bank_account[account_number]"
    )


def create_method(session: Session, params: Json) -> Json:
    if "payment_method" in params:
        raise ApiError("Cloning payment methods needs a connected account.", param="payment_method")
    if "type" not in params:
        raise ApiError("Missing required param: type.", code="parameter_missing", param="type")
    return make_method(session, params)


def retrieve_method(session: Session, params: Json, method_id: str) -> Json:
    return resolve_method(session, method_id)


def update_method(session: Session, params: Json, method_id: str) -> Json:
    before = session.get("payment_method", method_id)
    if before["customer"] is None:
        raise ApiError("You must save this PaymentMethod to a customer before you can update it.")
    after = {**before, "metadata": merge_metadata(before["metadata"], params.get("metadata"))}
    if params.get("billing_details"):
        after["billing_details"] = {**before["billing_details"], **params["billing_details"]}
    if "allow_redisplay" in params:
        after["allow_redisplay"] = params["allow_redisplay"]
    session.save(after)
    session.emit("payment_method.updated", after, before=before)
    return after


def attach_method(session: Session, params: Json, method_id: str) -> Json:
    if "customer" not in params:
        raise ApiError("Missing required param: customer.", code="parameter_missing", param="customer")
    customer = session.get("customer", params["customer"], "customer")
    method = resolve_method(session, method_id)
    if method["customer"] == customer["id"]:
        return method
    if method["customer"] is not None:
        raise ApiError("The payment method you provided has already been attached to a customer.")
    check_unused(session, method)
    card = METHODS[session.hidden(method["id"])["token"]]
    if isinstance(card, Card) and card.decline is not None and not card.attaches:
        raise card_error(DECLINES[card.decline])
    return keep_with(session, method, customer["id"])


def keep_with(session: Session, method: Json, customer_id: str) -> Json:
    after = {**method, "customer": customer_id}
    session.save(after)
    session.emit("payment_method.attached", after)
    return after


def detach_method(session: Session, params: Json, method_id: str) -> Json:
    before = session.get("payment_method", method_id)
    if before["customer"] is None:
        raise ApiError(
            "The payment method you provided is not attached to a customer so detachment is impossible.",
        )
    after = {**before, "customer": None}
    session.save(after)
    session.hide(method_id, spent=True)
    session.emit("payment_method.detached", after, before=before)
    return after


def check_unused(session: Session, method: Json) -> None:
    if method["customer"] is None and session.hidden(method["id"]).get("spent"):
        raise ApiError(
            "This PaymentMethod was previously used without being attached to a Customer or was detached "
            "from a Customer, and may not be used again.",
            param="payment_method",
        )


def check_owner(method: Json, customer: str | None) -> None:
    """An attached method pays for its customer only."""
    owner = method["customer"]
    if owner is None or owner == customer:
        return
    if customer is None:
        raise ApiError(
            f"The provided PaymentMethod ({method['id']}) belongs to the Customer {owner}. "
            "Please include the Customer in the `customer` parameter on the PaymentIntent.",
            param="payment_method",
        )
    raise ApiError(
        f"The provided PaymentMethod ({method['id']}) does not belong to the Customer you supplied {customer}. "
        "Please use this PaymentMethod with the Customer that it belongs to instead.",
        param="payment_method",
    )


def card_error(decline: Decline, **details: Any) -> ApiError:
    """A decline: HTTP 402, and what the attempt left behind stays."""
    return ApiError(
        decline.message,
        status=402,
        type="card_error",
        code=decline.code,
        decline_code=decline.decline_code,
        saves_work=True,
        **details,
    )


def list_methods(session: Session, params: Json) -> Json:
    # Stripe lists by customer only; without one there is nothing to see.
    fixed: Json = {} if "customer" in params else {"customer": ""}
    return list_objects(
        session, "payment_method", "/v1/payment_methods", params, ("customer", "type"), **fixed
    )


def list_customer_methods(session: Session, params: Json, customer_id: str) -> Json:
    session.get("customer", customer_id)
    url = f"/v1/customers/{customer_id}/payment_methods"
    return list_objects(session, "payment_method", url, params, ("type",), customer=customer_id)


def retrieve_customer_method(session: Session, params: Json, customer_id: str, method_id: str) -> Json:
    method = session.get("payment_method", method_id)
    if method["customer"] != customer_id:
        raise resource_missing("payment_method", method_id, "id")
    return method
