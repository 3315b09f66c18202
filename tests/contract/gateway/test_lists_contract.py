"""What every gateway lists that lists at all: the fake of the use case tests, and Stripe's adapter on the sandbox."""

from datetime import UTC, datetime, timedelta

import pytest

from domain.payments.gateway import (
    DisputeSnapshot,
    GatewayRefused,
    IntentSnapshot,
    IntentStatus,
    PaymentGateway,
    RefundSnapshot,
)
from domain.payments.gateway_lists import GatewayLists, Listed, ListPage, lists_of
from tests.contract.gateway.bench import Bench
from tests.contract.gateway.test_gateway_contract import confirm, create, new_key, pay, refund_request


@pytest.fixture
def lists(gateway: PaymentGateway) -> GatewayLists:
    found = lists_of(gateway)
    if found is None:
        pytest.skip("this gateway has no lists")
    return found


@pytest.fixture
def now() -> datetime:
    return datetime.now(UTC)


LONG_AGO = timedelta(days=2)


async def everything(page: ListPage) -> list[Listed]:
    assert page.after is None
    return [*page.items]


async def test_intents_by_the_time_of_their_making(bench: Bench, lists: GatewayLists, now: datetime) -> None:
    paid = await pay(bench.gateway)
    waiting = await create(bench.gateway, payment_id="pay_2", order_id="ord_2", amount=2000)
    items = await everything(await lists.list_intents(since=now - LONG_AGO, until=now + LONG_AGO, after=None))
    assert [one.object_id for one in items] == [waiting.intent_id, paid.intent_id]
    snapshots = [one.snapshot for one in items]
    assert all(isinstance(one, IntentSnapshot) for one in snapshots)
    told = [
        (one.payment_id, one.status, one.amount, one.amount_captured, one.currency)
        for one in snapshots
        if isinstance(one, IntentSnapshot)
    ]
    assert told == [
        ("pay_2", waiting.status, 2000, 0, "EUR"),
        ("pay_1", IntentStatus.SUCCEEDED, 1099, 1099, "EUR"),
    ]
    made_at = items[0].created_at
    later = await lists.list_intents(since=made_at + timedelta(seconds=5), until=now + LONG_AGO, after=None)
    before = await lists.list_intents(since=now - LONG_AGO, until=made_at - timedelta(seconds=5), after=None)
    assert (later.items, before.items) == ([], [])


async def test_pages_follow_one_another(bench: Bench, lists: GatewayLists, now: datetime) -> None:
    made = [(await create(bench.gateway, payment_id=f"pay_{number}")).intent_id for number in range(102)]
    since, until = now - LONG_AGO, now + LONG_AGO
    first = await lists.list_intents(since=since, until=until, after=None)
    assert (len(first.items), first.after) == (100, made[2])
    rest = await lists.list_intents(since=since, until=until, after=first.after)
    assert rest.after is None
    assert [one.object_id for one in (*first.items, *rest.items)] == made[::-1]


async def test_refunds_and_disputes(bench: Bench, lists: GatewayLists, now: datetime) -> None:
    paid = await pay(bench.gateway)
    refund = await bench.gateway.execute(refund_request(bench.gateway, paid.intent_id, 300), new_key())
    assert isinstance(refund, RefundSnapshot)
    dispute_id = bench.open_dispute(paid.intent_id)
    since, until = now - LONG_AGO, now + LONG_AGO
    (listed,) = await everything(await lists.list_refunds(since=since, until=until, after=None))
    assert (listed.object_id, listed.snapshot) == (refund.gateway_refund_id, refund)
    assert await lists.get_refund(refund.gateway_refund_id) == refund
    (disputed,) = await everything(await lists.list_disputes(since=since, until=until, after=None))
    assert isinstance(disputed.snapshot, DisputeSnapshot)
    assert (disputed.object_id, disputed.snapshot.intent_id) == (dispute_id, paid.intent_id)
    with pytest.raises(GatewayRefused) as refused:
        await lists.get_refund("re_none")
    assert refused.value.code == "resource_missing"


async def test_events_oldest_first_behind_a_place(bench: Bench, lists: GatewayLists, now: datetime) -> None:
    since = now - LONG_AGO
    assert (await lists.list_events(after=None, since=since)).events == []
    first = await pay(bench.gateway, payment_id="pay_0")
    (begin,) = (await lists.list_events(after=None, since=since)).events
    assert begin.event.intent_id == first.intent_id
    nothing = await lists.list_events(after=begin.event.event_id, since=since)
    assert (nothing.events, nothing.more) == ([], False)

    declined = await confirm(
        bench.gateway, (await create(bench.gateway)).intent_id, "pm_card_visa_chargeDeclined"
    )
    await confirm(bench.gateway, declined.intent_id, "pm_card_visa")
    await bench.gateway.execute(refund_request(bench.gateway, declined.intent_id, 300), new_key())
    page = await lists.list_events(after=begin.event.event_id, since=since)
    assert not page.more
    assert {one.event.intent_id for one in page.events} == {declined.intent_id}
    intents = [one.event.snapshot for one in page.events if isinstance(one.event.snapshot, IntentSnapshot)]
    assert [one.status for one in intents] == [
        IntentStatus.REQUIRES_PAYMENT_METHOD,
        IntentStatus.SUCCEEDED,
    ]
    assert isinstance(page.events[-1].event.snapshot, RefundSnapshot)
    everything = await lists.list_events(after=None, since=since)
    assert [*everything.events] == [begin, *page.events]
    assert not everything.more
    assert (await lists.list_events(after=None, since=now + LONG_AGO)).events == []


async def test_events_come_in_pages(bench: Bench, lists: GatewayLists, now: datetime) -> None:
    for number in range(102):
        intent = await create(bench.gateway, payment_id=f"pay_{number}")
        await bench.gateway.execute(bench.gateway.prepare_cancel(intent.intent_id, reason=None), new_key())
    everything = (await lists.list_events(after=None, since=now - LONG_AGO)).events
    assert len(everything) == 102
    first = await lists.list_events(after=everything[0].event.event_id, since=now)
    assert ([*first.events], first.more) == ([*everything[1:101]], True)
    rest = await lists.list_events(after=first.events[-1].event.event_id, since=now)
    assert ([*rest.events], rest.more) == ([*everything[101:]], False)


async def test_an_event_that_is_gone_is_said_to_be_missing(lists: GatewayLists, now: datetime) -> None:
    with pytest.raises(GatewayRefused) as refused:
        await lists.list_events(after="evt_none", since=now)
    assert refused.value.code == "resource_missing"
