"""Customers and the payment methods that they keep."""

from typing import Any

import pytest
import stripe

from tests.integration.sandbox.test_payments import events, pay


def test_a_kept_method_pays_for_its_customer_only(client: stripe.StripeClient) -> None:
    owner, other = client.v1.customers.create({"email": "a@example.com"}), client.v1.customers.create({})
    method = client.v1.payment_methods.attach("pm_card_visa", {"customer": owner.id})
    assert method.customer == owner.id

    assert pay(client, method.id, customer=owner.id, off_session=True).status == "succeeded"
    assert pay(client, method.id, customer=owner.id).status == "succeeded"
    for more in ({}, {"customer": other.id}):
        with pytest.raises(stripe.InvalidRequestError) as refused:
            pay(client, method.id, **more)
        assert refused.value.param == "payment_method"


def test_a_method_kept_by_nobody_pays_once(client: stripe.StripeClient) -> None:
    card: Any = {"type": "card", "card": {"token": "tok_visa"}}
    method = client.v1.payment_methods.create(card)
    assert pay(client, method.id).status == "succeeded"
    with pytest.raises(stripe.InvalidRequestError, match="may not be used again"):
        pay(client, method.id)


def test_saving_while_paying_and_detaching(client: stripe.StripeClient) -> None:
    customer = client.v1.customers.create({})
    intent = pay(client, customer=customer.id, setup_future_usage="off_session")
    [saved] = client.v1.customers.payment_methods.list(customer.id).data
    assert saved.id == intent.payment_method
    assert client.v1.payment_methods.list({"customer": customer.id, "type": "card"}).data[0].id == saved.id
    assert "payment_method.attached" in events(client)

    assert client.v1.payment_methods.detach(saved.id).customer is None

    assert client.v1.customers.payment_methods.list(customer.id).data == []
    with pytest.raises(stripe.InvalidRequestError, match="may not be used again"):
        pay(client, saved.id)


def test_a_declined_card_is_not_kept(client: stripe.StripeClient) -> None:
    customer = client.v1.customers.create({})
    with pytest.raises(stripe.CardError):
        client.v1.payment_methods.attach("pm_card_chargeDeclined", {"customer": customer.id})
    assert client.v1.payment_methods.list({"customer": customer.id}).data == []


def test_card_numbers_are_refused(client: stripe.StripeClient) -> None:
    card: Any = {"type": "card", "card": {"number": "4242424242424242", "exp_month": 1, "exp_year": 2040}}
    with pytest.raises(stripe.StripeError, match="unsafe"):
        client.v1.payment_methods.create(card)


def test_customers(client: stripe.StripeClient) -> None:
    customer = client.v1.customers.create(
        {"name": "A", "email": "a@example.com", "metadata": {"userId": "u_1"}}
    )
    updated = client.v1.customers.update(customer.id, {"name": "B", "metadata": {"more": "x"}})
    assert updated.name == "B"
    assert updated.to_dict()["metadata"] == {"userId": "u_1", "more": "x"}
    assert [one.id for one in client.v1.customers.list({"email": "a@example.com"}).data] == [customer.id]
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.customers.update(customer.id, {"email": "nobody"})
    assert refused.value.code == "email_invalid"

    assert client.v1.customers.delete(customer.id).deleted

    with pytest.raises(stripe.InvalidRequestError) as missing:
        client.v1.customers.retrieve(customer.id)
    assert (missing.value.http_status, missing.value.code) == (404, "resource_missing")


def test_off_session_a_card_that_needs_its_holder_is_declined(client: stripe.StripeClient) -> None:
    customer = client.v1.customers.create({})
    method = client.v1.payment_methods.attach("pm_card_authenticationRequired", {"customer": customer.id})
    with pytest.raises(stripe.CardError) as declined:
        pay(client, method.id, customer=customer.id, off_session=True)
    assert declined.value.code == "authentication_required"
    [intent] = client.v1.payment_intents.list().data
    assert intent.status == "requires_payment_method"

    again = client.v1.payment_intents.confirm(
        intent.id, {"payment_method": method.id, "return_url": "https://shop.example/return"}
    )
    assert again.status == "requires_action"


def test_nothing_is_set_up_off_session(client: stripe.StripeClient) -> None:
    customer = client.v1.customers.create({})
    method = client.v1.payment_methods.attach("pm_card_visa", {"customer": customer.id})
    with pytest.raises(stripe.InvalidRequestError) as refused:
        pay(client, method.id, customer=customer.id, off_session=True, setup_future_usage="off_session")
    assert refused.value.param == "off_session"


def test_a_statement_shows_a_letter(client: stripe.StripeClient) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        pay(client, statement_descriptor_suffix="12-34")
    assert refused.value.param == "statement_descriptor_suffix"
    pay(client, statement_descriptor_suffix="TEA 12")
    assert client.v1.charges.list().data[0].calculated_statement_descriptor == "PAYONCE* TEA 12"
