"""The flows of a payment intent through the official Python SDK."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
import stripe

from tests.integration.sandbox.conftest import RETURN_URL
from tests.support.sandbox import SandboxGateway


def pay(client: stripe.StripeClient, method: str = "pm_card_visa", **more: Any) -> stripe.PaymentIntent:
    """Create and confirm an intent over 10.99 USD."""
    params: Any = {
        "amount": 1099,
        "currency": "usd",
        "payment_method": method,
        "confirm": True,
        "return_url": RETURN_URL,
        "expand": ["latest_charge"],
        **more,
    }
    return client.v1.payment_intents.create(params)


def charge_of(intent: stripe.PaymentIntent) -> stripe.Charge:
    assert isinstance(intent.latest_charge, stripe.Charge)
    return intent.latest_charge


def events(client: stripe.StripeClient) -> list[str]:
    """Their types, oldest first."""
    return [event.type for event in reversed(client.v1.events.list({"limit": 100}).data)]


def test_a_card_pays_at_once(client: stripe.StripeClient) -> None:
    intent = pay(client, metadata={"orderId": "ord_1"})

    assert (intent.status, intent.amount_received, intent.amount_capturable) == ("succeeded", 1099, 0)
    assert intent.metadata["orderId"] == "ord_1"
    charge = charge_of(intent)
    assert (charge.paid, charge.captured, charge.amount_captured) == (True, True, 1099)
    assert charge.payment_method_details is not None
    assert charge.payment_method_details.card is not None
    assert charge.payment_method_details.card.last4 == "4242"
    assert events(client)[:3] == ["payment_intent.created", "charge.succeeded", "payment_intent.succeeded"]


async def test_the_async_client_pays_in_two_steps(sandbox: SandboxGateway) -> None:
    transport = stripe.HTTPXClient()
    client = stripe.StripeClient(
        sandbox.secret_key, base_addresses={"api": sandbox.url}, http_client=transport
    )

    intent = await client.v1.payment_intents.create_async({"amount": 500, "currency": "eur"})
    assert intent.status == "requires_payment_method"
    intent = await client.v1.payment_intents.confirm_async(
        intent.id, {"payment_method": "pm_card_mastercard", "return_url": RETURN_URL}
    )

    assert intent.status == "succeeded"
    await transport.close_async()  # type: ignore[no-untyped-call]


@pytest.mark.parametrize(
    ("token", "code", "decline_code"),
    [
        ("pm_card_visa_chargeDeclined", "card_declined", "generic_decline"),
        ("pm_card_chargeDeclinedInsufficientFunds", "card_declined", "insufficient_funds"),
        ("pm_card_chargeDeclinedLostCard", "card_declined", "lost_card"),
        ("pm_card_chargeDeclinedExpiredCard", "expired_card", "expired_card"),
        ("pm_card_chargeDeclinedIncorrectCvc", "incorrect_cvc", "incorrect_cvc"),
        ("pm_card_chargeDeclinedProcessingError", "processing_error", "processing_error"),
    ],
)
def test_a_decline_is_a_402_that_leaves_the_intent_payable(
    client: stripe.StripeClient, token: str, code: str, decline_code: str
) -> None:
    with pytest.raises(stripe.CardError) as refused:
        pay(client, token)

    assert refused.value.http_status == 402
    assert refused.value.code == code
    error = refused.value.error
    assert error is not None
    assert error.decline_code == decline_code
    assert error.payment_intent is not None
    intent = client.v1.payment_intents.retrieve(error.payment_intent.id)
    assert (intent.status, intent.payment_method) == ("requires_payment_method", None)
    assert intent.last_payment_error is not None
    assert intent.last_payment_error.decline_code == decline_code
    failed = client.v1.charges.retrieve(str(intent.latest_charge))
    assert (failed.status, failed.paid, failed.failure_code) == ("failed", False, code)
    assert events(client) == ["payment_intent.created", "charge.failed", "payment_intent.payment_failed"]

    paid = client.v1.payment_intents.confirm(
        intent.id, {"payment_method": "pm_card_visa", "return_url": RETURN_URL}
    )
    assert (paid.status, paid.last_payment_error) == ("succeeded", None)


def page_of(intent: stripe.PaymentIntent) -> str:
    assert intent.next_action is not None
    assert intent.next_action.redirect_to_url is not None
    return str(intent.next_action.redirect_to_url.url)


def test_authentication_on_the_page(client: stripe.StripeClient, sandbox: SandboxGateway) -> None:
    intent = pay(client, "pm_card_authenticationRequired", return_url=f"{RETURN_URL}?order=1")
    assert (intent.status, intent.latest_charge) == ("requires_action", None)
    page = httpx.get(page_of(intent))
    assert page.status_code == 200
    assert "10.99 USD" in page.text

    back = sandbox.authenticate(page_of(intent))

    assert back.status_code == 303
    assert parse_qs(urlsplit(back.headers["location"]).query) == {
        "order": ["1"],
        "payment_intent": [intent.id],
        "payment_intent_client_secret": [intent.client_secret],
        "redirect_status": ["succeeded"],
    }
    assert client.v1.payment_intents.retrieve(intent.id).status == "succeeded"
    again = sandbox.authenticate(page_of(intent))
    assert again.status_code == 409
    assert events(client).count("charge.succeeded") == 1


def test_a_failed_authentication(client: stripe.StripeClient, sandbox: SandboxGateway) -> None:
    intent = pay(client, "pm_card_authenticationRequired")

    back = sandbox.authenticate(page_of(intent), "fail")

    assert parse_qs(urlsplit(back.headers["location"]).query)["redirect_status"] == ["failed"]
    after = client.v1.payment_intents.retrieve(intent.id)
    assert after.status == "requires_payment_method"
    assert after.last_payment_error is not None
    assert after.last_payment_error.code == "payment_intent_authentication_failure"


def test_authentication_that_the_bank_then_declines(
    client: stripe.StripeClient, sandbox: SandboxGateway
) -> None:
    intent = pay(client, "pm_card_authenticationRequiredChargeDeclinedInsufficientFunds")

    sandbox.authenticate(page_of(intent))

    after = client.v1.payment_intents.retrieve(intent.id)
    assert after.status == "requires_payment_method"
    assert after.last_payment_error is not None
    assert after.last_payment_error.decline_code == "insufficient_funds"


def test_without_a_return_url_the_sdk_is_to_act(client: stripe.StripeClient, sandbox: SandboxGateway) -> None:
    never: Any = {"enabled": True, "allow_redirects": "never"}
    intent = client.v1.payment_intents.create(
        {"amount": 1099, "currency": "usd", "automatic_payment_methods": never}
    )
    intent = client.v1.payment_intents.confirm(
        intent.id, {"payment_method": "pm_card_authenticationRequired"}
    )
    assert intent.next_action is not None
    assert intent.next_action.type == "use_stripe_sdk"
    assert intent.next_action.use_stripe_sdk is not None

    page = sandbox.authenticate(str(intent.next_action.use_stripe_sdk["stripe_js"]))

    assert page.status_code == 200
    assert "went through" in page.text
    assert client.v1.payment_intents.retrieve(intent.id).status == "succeeded"


def test_redirecting_methods_need_a_return_url(client: stripe.StripeClient) -> None:
    intent = client.v1.payment_intents.create({"amount": 1099, "currency": "usd"})
    with pytest.raises(stripe.InvalidRequestError, match="return_url"):
        client.v1.payment_intents.confirm(intent.id, {"payment_method": "pm_card_visa"})
    assert client.v1.payment_intents.retrieve(intent.id).status == "requires_payment_method"


@pytest.mark.parametrize(
    ("option", "code"),
    [
        ("off_session", "authentication_required"),
        ("error_on_requires_action", "payment_intent_action_required"),
    ],
)
def test_nobody_there_to_authenticate(client: stripe.StripeClient, option: str, code: str) -> None:
    with pytest.raises(stripe.CardError) as refused:
        pay(client, "pm_card_authenticationRequired", **{option: True})
    assert refused.value.code == code


def test_partial_capture_releases_the_rest(client: stripe.StripeClient) -> None:
    intent = pay(client, capture_method="manual")
    assert (intent.status, intent.amount_capturable, intent.amount_received) == ("requires_capture", 1099, 0)
    charge = charge_of(intent)
    assert (charge.captured, charge.amount_captured) == (False, 0)

    intent = client.v1.payment_intents.capture(
        intent.id, {"amount_to_capture": 500, "expand": ["latest_charge"]}
    )

    assert (intent.status, intent.amount_capturable, intent.amount_received) == ("succeeded", 0, 500)
    charge = charge_of(intent)
    assert (charge.captured, charge.amount_captured, charge.amount_refunded) == (True, 500, 0)
    assert not charge.refunded
    assert not client.v1.refunds.list({"payment_intent": intent.id}).data
    assert "charge.refunded" not in events(client)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.payment_intents.capture(intent.id)
    assert refused.value.code == "payment_intent_unexpected_state"


def test_no_capture_above_the_authorization(client: stripe.StripeClient) -> None:
    intent = pay(client, capture_method="manual")
    for params, code in (
        ({"amount_to_capture": 1100}, "amount_too_large"),
        ({"amount_to_capture": 0}, "parameter_invalid_integer"),
        ({"amount_to_capture": 1, "final_capture": False}, "payment_intent_invalid_parameter"),
    ):
        with pytest.raises(stripe.InvalidRequestError) as refused:
            client.v1.payment_intents.capture(intent.id, params)  # type: ignore[arg-type]
        assert refused.value.code == code
    assert client.v1.payment_intents.retrieve(intent.id).amount_capturable == 1099


def test_multicapture_where_it_was_asked_for(client: stripe.StripeClient) -> None:
    options = {"card": {"request_multicapture": "if_available"}}
    intent = pay(client, capture_method="manual", payment_method_options=options)

    intent = client.v1.payment_intents.capture(intent.id, {"amount_to_capture": 400, "final_capture": False})
    assert (intent.status, intent.amount_received, intent.amount_capturable) == ("requires_capture", 400, 699)
    intent = client.v1.payment_intents.capture(intent.id, {"amount_to_capture": 100})

    assert (intent.status, intent.amount_received, intent.amount_capturable) == ("succeeded", 500, 0)


def test_the_rest_of_a_multicapture_is_released_by_a_capture_of_nothing(client: stripe.StripeClient) -> None:
    options: Any = {"card": {"request_multicapture": "if_available"}}
    intent = pay(client, capture_method="manual", payment_method_options=options)
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.payment_intents.capture(intent.id, {"amount_to_capture": 0})
    client.v1.payment_intents.capture(intent.id, {"amount_to_capture": 400, "final_capture": False})
    client.v1.refunds.create({"payment_intent": intent.id, "amount": 400})
    intent = client.v1.payment_intents.capture(
        intent.id, {"amount_to_capture": 0, "final_capture": True, "expand": ["latest_charge"]}
    )
    assert (intent.status, intent.amount_received, intent.amount_capturable) == ("succeeded", 400, 0)
    assert (charge_of(intent).amount_captured, charge_of(intent).amount_refunded) == (400, 400)


def test_not_every_card_has_multicapture(client: stripe.StripeClient) -> None:
    options: Any = {"card": {"request_multicapture": "if_available"}}
    for method, granted in (
        ("pm_card_visa", "available"),
        ("pm_card_credit_disableEnterpriseCardFeatures", "unavailable"),
    ):
        intent = pay(client, method, capture_method="manual", payment_method_options=options)
        details = charge_of(intent).payment_method_details
        assert details is not None
        assert details.card is not None
        assert details.card.multicapture is not None
        assert details.card.multicapture.status == granted
    with pytest.raises(stripe.InvalidRequestError, match="Multicapture"):
        client.v1.payment_intents.capture(intent.id, {"amount_to_capture": 400, "final_capture": False})


@pytest.mark.parametrize("method", ["pm_card_visa", "pm_card_authenticationRequired"])
def test_cancel(client: stripe.StripeClient, method: str) -> None:
    intent = pay(client, method, capture_method="manual")

    canceled = client.v1.payment_intents.cancel(intent.id, {"cancellation_reason": "abandoned"})

    assert (canceled.status, canceled.cancellation_reason) == ("canceled", "abandoned")
    assert (canceled.amount_capturable, canceled.next_action) == (0, None)
    for again in (client.v1.payment_intents.cancel, client.v1.payment_intents.capture):
        with pytest.raises(stripe.InvalidRequestError) as refused:
            again(intent.id)
        assert refused.value.code == "payment_intent_unexpected_state"


def test_a_paid_intent_is_neither_canceled_nor_confirmed(client: stripe.StripeClient) -> None:
    intent = pay(client)
    for again in (client.v1.payment_intents.cancel, client.v1.payment_intents.confirm):
        with pytest.raises(stripe.InvalidRequestError) as refused:
            again(intent.id)
        assert refused.value.code == "payment_intent_unexpected_state"
        assert refused.value.error is not None
        assert refused.value.error.payment_intent is not None


def test_the_amount_changes_until_it_is_paid(client: stripe.StripeClient) -> None:
    intent = client.v1.payment_intents.create({"amount": 1099, "currency": "usd"})
    updated = client.v1.payment_intents.update(intent.id, {"amount": 2000, "metadata": {"a": "1"}})
    assert (updated.amount, updated.metadata["a"]) == (2000, "1")
    client.v1.payment_intents.confirm(intent.id, {"payment_method": "pm_card_visa", "return_url": RETURN_URL})
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.payment_intents.update(intent.id, {"amount": 2001})
    assert refused.value.code == "payment_intent_unexpected_state"
    assert client.v1.payment_intents.update(intent.id, {"metadata": {"a": ""}}).metadata.to_dict() == {}


def test_a_bank_debit_settles_later(client: stripe.StripeClient, sandbox: SandboxGateway) -> None:
    paid = pay(client, "pm_usBankAccount_success")
    failed = pay(client, "pm_usBankAccount_insufficientFunds")
    assert (paid.status, failed.status) == ("processing", "processing")
    assert charge_of(paid).status == "pending"

    sandbox.advance(2)

    assert client.v1.payment_intents.retrieve(paid.id).status == "succeeded"
    after = client.v1.payment_intents.retrieve(failed.id)
    assert after.status == "requires_payment_method"
    assert after.last_payment_error is not None
    assert after.last_payment_error.code == "insufficient_funds"


def test_a_sepa_debit_settles_by_the_sandbox_s_clock(
    client: stripe.StripeClient, sandbox: SandboxGateway
) -> None:
    intents = {
        token: pay(client, token, currency="eur")
        for token in ("pm_success_de", "pm_failed_de", "pm_successDelayed_de", "pm_failedDelayed_de")
    }
    assert {intent.status for intent in intents.values()} == {"processing"}
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.payment_intents.cancel(intents["pm_success_de"].id)
    for seconds, statuses in (
        (2, ["succeeded", "requires_payment_method", "processing", "processing"]),
        (180, ["succeeded", "requires_payment_method"] * 2),
    ):
        sandbox.advance(seconds)
        found = [client.v1.payment_intents.retrieve(intent.id).status for intent in intents.values()]
        assert found == statuses
    failed = client.v1.payment_intents.retrieve(intents["pm_failed_de"].id)
    assert failed.last_payment_error is not None
    assert failed.last_payment_error.code == "generic_could_not_process"
    with pytest.raises(stripe.InvalidRequestError):
        pay(client, "pm_success_de", currency="usd")


def test_the_balance_follows_a_little_later(client: stripe.StripeClient, sandbox: SandboxGateway) -> None:
    """`automatic_async`, Stripe's default, answers before the balance transaction exists."""
    intent = pay(client)
    assert charge_of(intent).balance_transaction is None

    sandbox.advance(2)

    charge = client.v1.charges.retrieve(charge_of(intent).id, {"expand": ["balance_transaction"]})
    assert isinstance(charge.balance_transaction, stripe.BalanceTransaction)
    moved = charge.balance_transaction
    assert (moved.amount, moved.fee, moved.net) == (1099, 62, 1037)
    assert events(client)[-1] == "charge.updated"
    at_once = pay(client, capture_method="automatic")
    assert charge_of(at_once).balance_transaction is not None
