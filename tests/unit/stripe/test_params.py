import json
from dataclasses import replace
from typing import Any

import pytest
import stripe
from stripe import params as typed

from adapters.stripe import params
from adapters.stripe.gateway import STRIPE_VERSION
from domain.payments.gateway import (
    Address,
    CaptureMethod,
    Customer,
    FutureUsage,
    GatewayRefused,
    GatewayRequest,
    IntentDraft,
    LineItem,
)
from tests.unit.stripe.drafts import DRAFT
from tests.unit.stripe.typed_params import faults

BARE = IntentDraft(
    payment_id="pay_1",
    order_id="ord_1",
    amount=1200,
    currency="JPY",
    capture_method=CaptureMethod.MANUAL,
)
PER_LINE = replace(
    DRAFT,
    lines=(LineItem(name="Oak", quantity=2, unit_amount=2000, discount_amount=200, tax_amount=400),),
)


def refund(reason: str, amount: int = 500, currency: str = "EUR") -> GatewayRequest:
    return params.refund_request(
        "pi_1",
        refund_id="ref_1",
        payment_id="pay_1",
        order_id="ord_1",
        amount=amount,
        currency=currency,
        reason=reason,
    )


SAVING = params.create_request(
    replace(
        DRAFT,
        setup_future_usage=FutureUsage.OFF_SESSION,
        receipt_email="jenny@example.com",
        statement_descriptor_suffix="OAK",
    ),
    multicapture=False,
)
CREATE, CONFIRM = typed.PaymentIntentCreateParams, typed.PaymentIntentConfirmParams


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (params.create_request(DRAFT, multicapture=False), CREATE),
        (params.create_request(PER_LINE, multicapture=False), CREATE),
        (params.create_request(BARE, multicapture=False), CREATE),
        (params.create_request(BARE, multicapture=True), CREATE),
        (params.confirm_request("pi_1", "pm_1", "https://shop.test/back"), CONFIRM),
        (params.confirm_request("pi_1", None, "https://shop.test/back"), CONFIRM),
        (SAVING, CREATE),
        (
            params.confirm_request(
                "pi_1", "pm_1", "https://shop.test/back", setup_future_usage=FutureUsage.ON_SESSION
            ),
            CONFIRM,
        ),
        (params.confirm_request("pi_1", "pm_1", "https://shop.test/back", off_session=True), CONFIRM),
        (params.capture_request("pi_1", 500, "EUR", True), typed.PaymentIntentCaptureParams),
        (params.capture_request("pi_1", 500, "EUR", False), typed.PaymentIntentCaptureParams),
        (params.update_request("pi_1", DRAFT), typed.PaymentIntentUpdateParams),
        (params.update_request("pi_1", BARE), typed.PaymentIntentUpdateParams),
        (params.cancel_request("pi_1", None), typed.PaymentIntentCancelParams),
        (params.cancel_request("pi_1", "abandoned"), typed.PaymentIntentCancelParams),
        (refund("duplicate"), typed.RefundCreateParams),
        (refund("arrived broken"), typed.RefundCreateParams),
        (
            GatewayRequest("/v1/customers", params.customer_params("u_1", DRAFT.customer)),
            typed.CustomerCreateParams,
        ),
        (GatewayRequest("/v1/customers", params.customer_params("u_1", None)), typed.CustomerCreateParams),
    ],
)
def test_every_request_fits_the_package_s_typed_parameters(request_: GatewayRequest, expected: Any) -> None:
    assert list(faults(dict(request_.params), expected)) == []
    assert json.loads(json.dumps(request_.params)) == request_.params


def test_the_check_itself_finds_faults() -> None:
    wrong = {
        "amount": True,
        "capture_method": "sometimes",
        "amount_details": {"line_items": [{"product_name": "Oak"}]},
        "metadata": {"paymentId": 1},
        "expand": "latest_charge",
        "orderId": "ord_1",
    }
    assert {fault.split(":")[0] for fault in faults(wrong, CREATE)} == {
        ".amount",
        ".capture_method",
        ".amount_details.line_items",
        ".metadata.paymentId",
        ".expand",
        ".orderId",
        ".currency",
    }


def test_the_typed_parameters_are_of_the_pinned_version() -> None:
    assert stripe.api_version == STRIPE_VERSION


def test_an_intent_is_created_unconfirmed_and_names_its_payment() -> None:
    request = params.create_request(DRAFT, multicapture=False)
    assert request.path == "/v1/payment_intents"
    assert "confirm" not in request.params
    assert request.params["metadata"] == {"paymentId": "pay_1", "orderId": "ord_1"}
    assert request.params["customer"] == "cus_1"
    assert request.params["payment_method"] == "pm_card_visa"
    assert request.params["shipping"] == {
        "name": "Jenny Rosen",
        "phone": "+15555555555",
        "address": {"line1": "1 Main St", "city": "Oakland", "postal_code": "94607", "country": "US"},
    }
    assert request.params["payment_details"] == {"order_reference": "ord_1", "customer_reference": "cus_1"}


def test_what_is_saved_mailed_and_printed() -> None:
    chosen = ("setup_future_usage", "receipt_email", "statement_descriptor_suffix")
    assert [SAVING.params[name] for name in chosen] == ["off_session", "jenny@example.com", "OAK"]
    plain = params.create_request(DRAFT, multicapture=False).params
    assert not set(chosen) & plain.keys()  # no receipt to an address that only the customer's data hold
    confirm = params.confirm_request("pi_1", "pm_1", "https://shop.test/back").params
    assert not {"setup_future_usage", "off_session"} & confirm.keys()


@pytest.mark.parametrize(
    "customer",
    [
        None,
        Customer(name="Jenny Rosen"),
        Customer(name="Jenny Rosen", shipping_address=Address()),
        Customer(shipping_address=Address(line1="1 Main St")),
    ],
)
def test_shipping_needs_a_name_and_an_address(customer: Customer | None) -> None:
    assert (
        "shipping" not in params.create_request(replace(DRAFT, customer=customer), multicapture=False).params
    )


def test_multicapture_is_asked_for_on_manual_payments_only() -> None:
    asked = {"card": {"request_multicapture": "if_available"}}
    assert params.create_request(BARE, multicapture=True).params["payment_method_options"] == asked
    assert "payment_method_options" not in params.create_request(DRAFT, multicapture=True).params
    assert "payment_method_options" not in params.create_request(BARE, multicapture=False).params


def test_level_3_data_that_breaks_a_rule_is_left_out_and_nothing_else() -> None:
    good = dict(params.create_request(DRAFT, multicapture=False).params)
    bad = dict(params.create_request(replace(DRAFT, tax_amount=401), multicapture=False).params)
    assert good.pop("amount_details")
    assert good.pop("payment_details")
    assert bad == good


def test_the_last_capture_does_not_mention_finality() -> None:
    final = params.capture_request("pi_1", 500, "EUR", True)
    assert (final.path, final.params["amount_to_capture"]) == ("/v1/payment_intents/pi_1/capture", 500)
    assert "final_capture" not in final.params
    assert params.capture_request("pi_1", 500, "EUR", False).params["final_capture"] is False


@pytest.mark.parametrize(
    ("reason", "stripe_reason"),
    [
        ("duplicate", "duplicate"),
        ("requested_by_customer", "requested_by_customer"),
        ("fraudulent", None),
        ("arrived broken", None),
    ],
)
def test_a_refund_s_reason_reaches_stripe_s_own_field_by_the_map_only(
    reason: str, stripe_reason: str | None
) -> None:
    request = refund(reason)
    assert request.params.get("reason") == stripe_reason
    assert request.params["metadata"] == {
        "paymentId": "pay_1",
        "orderId": "ord_1",
        "refundId": "ref_1",
        "reason": reason,
    }


@pytest.mark.parametrize("reason", [None, "fraudulent", "out of stock"])
def test_a_cancellation_s_reason_outside_the_map_is_not_sent(reason: str | None) -> None:
    assert "cancellation_reason" not in params.cancel_request("pi_1", reason).params


def test_a_long_reason_is_cut_to_what_metadata_holds() -> None:
    assert refund("x" * 501).params["metadata"]["reason"] == "x" * 500


def test_amounts_are_sent_in_stripe_s_minor_unit() -> None:
    krona = replace(BARE, currency="ISK", amount=5)
    assert params.create_request(krona, multicapture=False).params["amount"] == 500
    assert params.capture_request("pi_1", 5, "ISK", True).params["amount_to_capture"] == 500
    assert refund("duplicate", 5, "ISK").params["amount"] == 500


def test_an_amount_that_stripe_does_not_have_is_refused_before_anything_is_sent() -> None:
    dinar = replace(BARE, currency="KWD", amount=5125)
    with pytest.raises(GatewayRefused, match="multiples of ten") as refused:
        params.create_request(dinar, multicapture=False)
    assert (refused.value.code, refused.value.param) == ("amount_not_representable", "amount")
    with pytest.raises(GatewayRefused):
        params.capture_request("pi_1", 5125, "KWD", True)
    with pytest.raises(GatewayRefused):
        refund("duplicate", 5125, "KWD")


def test_an_update_without_lines_removes_those_of_the_former_amount() -> None:
    assert params.update_request("pi_1", BARE).params["amount_details"] == ""
    kept = params.update_request("pi_1", DRAFT).params
    assert kept["amount_details"]["line_items"]
    assert kept["payment_details"]["order_reference"] == "ord_1"
