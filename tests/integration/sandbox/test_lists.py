"""Lists with cursors, and search a minute behind."""

from typing import Any

import pytest
import stripe

from tests.support.sandbox import SandboxGateway


@pytest.fixture
def ids(client: stripe.StripeClient) -> list[str]:
    """Five intents, newest first, as lists have them."""
    created = [
        client.v1.payment_intents.create(
            {"amount": 1000 + number, "currency": "usd", "metadata": {"orderId": f"ord_{number}"}}
        ).id
        for number in range(5)
    ]
    return created[::-1]


def listed(client: stripe.StripeClient, **params: Any) -> tuple[list[str], bool]:
    page = client.v1.payment_intents.list(params)  # type: ignore[arg-type]
    return [intent.id for intent in page.data], page.has_more


def test_pages(client: stripe.StripeClient, ids: list[str]) -> None:
    assert listed(client, limit=2) == (ids[:2], True)
    assert listed(client, limit=2, starting_after=ids[1]) == (ids[2:4], True)
    assert listed(client, limit=2, starting_after=ids[3]) == (ids[4:], False)
    assert listed(client, limit=2, ending_before=ids[3]) == (ids[1:3], True)
    every = client.v1.payment_intents.list({"limit": 2}).auto_paging_iter()
    assert [intent.id for intent in every] == ids
    for wrong in ({"limit": 0}, {"limit": 101}, {"starting_after": "pi_none"}):
        with pytest.raises(stripe.InvalidRequestError):
            listed(client, **wrong)


def test_by_creation_and_customer(
    client: stripe.StripeClient, sandbox: SandboxGateway, ids: list[str]
) -> None:
    sandbox.advance(1000)
    customer = client.v1.customers.create({}).id
    late = client.v1.payment_intents.create({"amount": 1000, "currency": "usd", "customer": customer})
    assert listed(client, created={"gte": late.created}) == ([late.id], False)
    assert listed(client, created={"lt": late.created - 500}) == (ids, False)
    assert listed(client, created=late.created) == ([late.id], False)
    assert listed(client, customer=customer) == ([late.id], False)


def found(client: stripe.StripeClient, query: str) -> list[str]:
    return [intent.id for intent in client.v1.payment_intents.search({"query": query}).data]


def test_search_is_a_minute_behind(
    client: stripe.StripeClient, sandbox: SandboxGateway, ids: list[str]
) -> None:
    query = "metadata['orderId']:'ord_3'"
    assert found(client, query) == []
    sandbox.advance(61)
    assert found(client, query) == [ids[1]]

    client.v1.payment_intents.update(ids[1], {"metadata": {"orderId": "moved"}})
    assert found(client, query) == [ids[1]]
    sandbox.advance(61)
    assert found(client, query) == []
    assert found(client, 'metadata["orderId"]:"moved"') == [ids[1]]


def test_the_query_language(client: stripe.StripeClient, sandbox: SandboxGateway, ids: list[str]) -> None:
    client.v1.payment_intents.cancel(ids[0])
    sandbox.advance(61)
    assert found(client, "status:'canceled'") == [ids[0]]
    assert found(client, "-status:'canceled' AND amount>1001") == ids[1:3]
    assert found(client, "amount:1000 OR amount:1001") == ids[3:]
    assert found(client, "metadata['orderId']~'RD_4'") == [ids[0]]
    assert found(client, "metadata['none']:null") == ids
    for wrong in (
        "",
        "amount",
        "nothing:'x'",
        "status:'a' AND amount>1 OR amount<2",
        "metadata:'x'",
        "status:'a",
    ):
        with pytest.raises(stripe.InvalidRequestError):
            found(client, wrong)


def test_search_pages(client: stripe.StripeClient, sandbox: SandboxGateway, ids: list[str]) -> None:
    sandbox.advance(61)
    first = client.v1.payment_intents.search({"query": "currency:'usd'", "limit": 3})
    assert (len(first.data), first.has_more) == (3, True)
    assert [intent.id for intent in first.auto_paging_iter()] == ids


def test_events_by_type(client: stripe.StripeClient, ids: list[str]) -> None:
    client.v1.payment_intents.cancel(ids[0])
    assert len(client.v1.events.list({"type": "payment_intent.canceled"}).data) == 1
    assert len(client.v1.events.list({"types": ["payment_intent.canceled", "charge.failed"]}).data) == 1
    assert len(client.v1.events.list({"type": "payment_intent.*", "limit": 100}).data) == 6
    assert client.v1.events.list({"type": "charge.*"}).data == []


def test_events_are_kept_for_30_days(client: stripe.StripeClient, sandbox: SandboxGateway) -> None:
    client.v1.payment_intents.create({"amount": 1000, "currency": "usd"})
    (old,) = client.v1.events.list().data
    sandbox.advance(29 * 86400)
    client.v1.payment_intents.create({"amount": 1000, "currency": "usd"})
    newest, again = client.v1.events.list().data
    assert again.id == old.id
    assert [one.id for one in client.v1.events.list({"ending_before": old.id}).data] == [newest.id]
    sandbox.advance(2 * 86400)
    assert [one.id for one in client.v1.events.list().data] == [newest.id]
    with pytest.raises(stripe.InvalidRequestError, match="No such event"):
        client.v1.events.retrieve(old.id)
    with pytest.raises(stripe.InvalidRequestError, match="No such event"):
        client.v1.events.list({"ending_before": old.id})


def test_lists_are_by_creation_whatever_the_clock_did(
    client: stripe.StripeClient, sandbox: SandboxGateway
) -> None:
    sandbox.advance(1000)
    early = client.v1.payment_intents.create({"amount": 1000, "currency": "usd"}).id
    sandbox.reset()
    late = client.v1.payment_intents.create({"amount": 1000, "currency": "usd"}).id
    assert listed(client) == ([early, late], False)
    assert listed(client, limit=1, starting_after=early) == ([late], False)
