"""What Stripe refuses, the sandbox refuses in the same words and codes."""

import base64
from typing import Any

import httpx
import pytest
import stripe

from tests.integration.sandbox.test_payments import pay
from tests.support.sandbox import SandboxGateway


@pytest.mark.parametrize(
    ("changes", "code", "param"),
    [
        ({"amount": None}, "parameter_missing", "amount"),
        ({"amount": "10.5"}, "parameter_invalid_integer", "amount"),
        ({"amount": -1}, "parameter_invalid_integer", "amount"),
        ({"amount": 49}, "amount_too_small", "amount"),
        ({"amount": 100_000_000}, "amount_too_large", "amount"),
        ({"currency": "xxx"}, None, "currency"),
        ({"foo": 1}, "parameter_unknown", "foo"),
        ({"shipping": {"name": "A", "address": {"bar": 1}}}, "parameter_unknown", "shipping[address][bar]"),
        ({"capture_method": "sometimes"}, None, "capture_method"),
        ({"confirm": "yes"}, None, "confirm"),
        ({"payment_method": "pm_none"}, "resource_missing", "payment_method"),
        ({"customer": "cus_none"}, "resource_missing", "customer"),
        ({"return_url": "https://x.example"}, None, "return_url"),
        ({"receipt_email": "nobody"}, "email_invalid", "receipt_email"),
        ({"expand": ["nothing"]}, None, "expand"),
        ({"metadata": {"k": "v" * 501}}, None, "metadata[k]"),
        ({"transfer_data": {"destination": "acct_1"}}, None, "transfer_data"),
        ({"amount": 1001, "currency": "kwd"}, None, "amount"),
    ],
)
def test_bad_parameters_store_nothing(
    client: stripe.StripeClient,
    sandbox: SandboxGateway,
    changes: dict[str, Any],
    code: str | None,
    param: str,
) -> None:
    given = {"amount": 1099, "currency": "usd", **changes}
    params: Any = {name: value for name, value in given.items() if value is not None}
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.payment_intents.create(params)

    assert (refused.value.http_status, refused.value.code, refused.value.param) == (400, code, param)
    assert refused.value.request_id is not None
    assert sandbox.state()["counts"] == {}


def test_keys(client: stripe.StripeClient, second: stripe.StripeClient, sandbox: SandboxGateway) -> None:
    basic = base64.b64encode(b"sk_test_payonce:").decode()
    url = f"{sandbox.url}/v1/payment_intents"
    assert httpx.get(url, headers={"Authorization": f"Basic {basic}"}).status_code == 200
    for headers in ({}, {"Authorization": "Bearer sk_live_x"}, {"Authorization": "Basic *"}):
        assert httpx.get(url, headers=headers).status_code == 401

    mine = pay(client)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        second.v1.payment_intents.retrieve(mine.id)
    assert refused.value.http_status == 404
    assert second.v1.payment_intents.list().data == []


def test_unknown_calls(client: stripe.StripeClient, sandbox: SandboxGateway) -> None:
    with pytest.raises(stripe.InvalidRequestError, match="Unrecognized request URL") as refused:
        client.v1.products.list()
    assert refused.value.http_status == 404
    assert httpx.get(f"{sandbox.url}/elsewhere").status_code == 404


def test_bad_bodies(sandbox: SandboxGateway) -> None:
    def post(body: bytes) -> int:
        return httpx.post(
            f"{sandbox.url}/v1/payment_intents", content=body, auth=(sandbox.secret_key, "")
        ).status_code

    assert post(b"amount=\xff") == 400
    assert post(b"a[b]c=1") == 400
    assert post(b"amount=1&amount[x]=2") == 400
    assert post(b"a=" + b"x" * 1024 * 1024) == 413


@pytest.mark.parametrize(
    ("path", "body", "named"),
    [
        ("chaos", '{"webhooks": {"drop": 2}}', "webhooks.drop"),
        ("chaos", '{"api": {"error500": "x"}}', "api.error500"),
        ("chaos", '{"nothing": 1}', "nothing"),
        ("clock", '{"advanceSeconds": -1}', "advanceSeconds"),
        ("clock", "{}", "advanceSeconds"),
        ("reset", '{"data": 1}', "data"),
        ("clock", "{", ""),
    ],
)
def test_bad_control_input_is_named(sandbox: SandboxGateway, path: str, body: str, named: str) -> None:
    answer = httpx.post(f"{sandbox.url}/_sandbox/{path}", content=body)
    assert answer.status_code == 400
    assert named in answer.json()["error"]["message"]


def test_a_page_that_belongs_to_nothing(sandbox: SandboxGateway) -> None:
    assert sandbox.authenticate(f"{sandbox.url}/_sandbox/authenticate/pi_none/x").status_code == 404


LINE: dict[str, Any] = {"product_name": "Tea", "product_code": "TEA", "quantity": 2, "unit_cost": 500}


@pytest.mark.parametrize(
    "details",
    [
        {"line_items": [LINE] * 201},
        {"line_items": [{**LINE, "product_code": "T" * 13}]},
        {"line_items": [{**LINE, "quantity": 0}]},
        {"line_items": [{**LINE, "unit_cost": 499}]},
        {"line_items": [{**LINE, "discount_amount": 1}], "discount_amount": 1},
        {"line_items": [{**LINE, "tax": {"total_tax_amount": 1}}], "tax": {"total_tax_amount": 1}},
        {"line_items": [{"product_name": "Tea"}]},
    ],
)
def test_line_items_that_stripe_refuses(client: stripe.StripeClient, details: Any) -> None:
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.payment_intents.create({"amount": 1000, "currency": "usd", "amount_details": details})


def test_line_items(client: stripe.StripeClient) -> None:
    details: Any = {
        "line_items": [{**LINE, "tax": {"total_tax_amount": 90}, "discount_amount": 100}],
        "shipping": {"amount": 10},
    }
    intent = client.v1.payment_intents.create({"amount": 1000, "currency": "usd", "amount_details": details})
    [line] = client.v1.payment_intents.amount_details_line_items.list(intent.id).data
    assert (line.product_code, line.quantity, line.unit_cost) == ("TEA", 2, 500)

    wrong: Any = {"line_items": [LINE], "enforce_arithmetic_validation": False}
    lenient = client.v1.payment_intents.create({"amount": 1001, "currency": "usd", "amount_details": wrong})
    assert lenient.amount_details is not None
    assert lenient.amount_details.error is not None


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"unit_of_measure": "kg per box"}, "unit_of_measure"),
        (
            {"payment_method_options": {"card": {"commodity_code": "44-11"}}},
            "payment_method_options][card][commodity_code",
        ),
    ],
)
def test_words_of_line_items(client: stripe.StripeClient, changes: dict[str, Any], param: str) -> None:
    line = {"product_name": "Tea", "quantity": 1, "unit_cost": 1000, "unit_of_measure": "each"}
    details: Any = {"line_items": [{**line, **changes}]}
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.payment_intents.create({"amount": 1000, "currency": "usd", "amount_details": details})
    assert refused.value.param == f"amount_details[line_items][0][{param}]"
