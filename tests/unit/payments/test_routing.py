"""Which account a payment goes to, and that it stays there."""

import asyncio
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from domain.orders.status import OrderStatus
from domain.payments.dispute_status import DisputeStatus
from domain.payments.errors import (
    AmountTooSmall,
    CurrencyUnsupported,
    GatewayUnavailable,
    PaymentInProgress,
    PaymentMethodUnknown,
)
from domain.payments.gateway import GatewayNotSent, GatewayRefundStatus, IntentStatus
from domain.payments.operation import OperationStatus
from domain.payments.refund import RefundStatus
from domain.payments.routing import Account, Gateways
from domain.payments.use_cases.receive_webhook import ReceiveWebhook
from domain.payments.webhook import WebhookOutcome
from tests.support.fake_gateway import FakeGateway, Outcome
from tests.support.house import SERVICE, House, ManualClock, RightSignature, World

EUR, USD = frozenset({"EUR"}), frozenset({"USD"})


class Shop:
    """A house with two accounts, `fake` and `second`."""

    def __init__(self) -> None:
        self.world = World()
        self.first = self.world.gateway
        self.second = FakeGateway(self.world.clock, "second")
        self.world.accounts.append(self.world.account(self.second))
        self.house = House(self.world)

    def break_circuit(self, *names: str) -> None:
        self.world.unreachable.update(names)
        for gateway in (self.first, self.second):
            gateway.down = gateway.down or gateway.name in names

    def mend(self) -> None:
        self.world.unreachable.clear()
        self.first.down = self.second.down = False


@pytest.fixture
def shop() -> Shop:
    return Shop()


def gateways(*accounts: tuple[str, frozenset[str] | None, bool]) -> Gateways:
    clock, verifier = ManualClock(), RightSignature()
    return Gateways(
        [
            Account(FakeGateway(clock, name), verifier, currencies, partial(bool, reachable))
            for name, currencies, reachable in accounts
        ]
    )


@pytest.mark.parametrize(
    ("accounts", "chosen"),
    [
        ([("a", None, True), ("b", None, True)], "a"),
        ([("a", USD, True), ("b", EUR, True)], "b"),
        ([("a", EUR, False), ("b", USD, True), ("c", None, True)], "c"),
        ([("a", USD | EUR, True), ("b", EUR, False)], "a"),
    ],
)
def test_the_first_that_takes_it_and_is_reachable(
    accounts: list[tuple[str, frozenset[str] | None, bool]], chosen: str
) -> None:
    assert gateways(*accounts).for_new_payment(1000, "EUR")[0].name == chosen


def test_a_currency_that_no_account_takes() -> None:
    with pytest.raises(CurrencyUnsupported) as refused:
        gateways(("a", USD, True), ("b", USD, False)).for_new_payment(1000, "EUR")
    assert refused.value.pointer == "/currency"


def test_an_amount_that_no_account_takes_is_told_by_one_that_takes_the_currency() -> None:
    with pytest.raises(AmountTooSmall):
        gateways(("a", USD, True), ("b", EUR, True)).for_new_payment(1, "EUR")


def test_nobody_is_reachable() -> None:
    with pytest.raises(GatewayUnavailable):
        gateways(("a", EUR, False), ("b", USD, True), ("c", None, False)).for_new_payment(1000, "EUR")


def test_an_account_that_is_no_longer_configured() -> None:
    with pytest.raises(GatewayUnavailable, match="gone"):
        gateways(("a", None, True)).of("gone")


async def test_a_payment_stays_at_its_account(shop: Shop) -> None:
    shop.break_circuit("fake")
    house = shop.house
    payment = await house.authorized()
    assert payment.gateway == "second"
    shop.mend()
    payment = await house.capture(payment)
    refund = await house.refund(payment, 400)
    assert refund.status is RefundStatus.SUCCEEDED
    assert shop.first.sent == []
    operations = house.world.payments.rows["operation"].values()
    assert {operation.gateway for operation in operations} == {"second"}


async def attached_at_second(shop: Shop) -> None:
    """A method `pm_saved` of the customer at the second account."""
    shop.break_circuit("fake")
    payment = await shop.house.paid()
    shop.mend()
    assert payment.gateway_customer_id is not None
    shop.second.attach("pm_saved", payment.gateway_customer_id)


async def test_a_token_takes_its_payment_to_the_account_that_knows_it(shop: Shop) -> None:
    house = shop.house
    await attached_at_second(shop)
    payment = await house.paid(token="pm_saved")
    assert (payment.gateway, payment.status) == ("second", IntentStatus.SUCCEEDED)
    assert (await house.paid(token="pm_card_visa")).gateway == "fake"
    shop.break_circuit("second")
    sent = len(shop.second.sent)
    with pytest.raises(GatewayUnavailable):
        await house.paid(token="pm_saved")
    assert (await house.paid(token="pm_card_visa")).gateway == "fake"
    shop.mend()
    with pytest.raises(PaymentMethodUnknown):
        await house.paid(token="pm_of_nobody")
    assert len(shop.second.sent) == sent


async def test_a_token_is_not_said_to_be_unknown_while_an_account_does_not_answer(shop: Shop) -> None:
    house = shop.house
    await attached_at_second(shop)
    before = set(house.world.payments.rows["payment"])
    shop.second.down = True
    with pytest.raises(GatewayUnavailable):
        await house.paid(token="pm_saved")
    assert house.world.payments.rows["payment"].keys() == before


async def test_a_customer_is_known_to_each_account_apart(shop: Shop) -> None:
    house = shop.house
    first = await house.paid()
    shop.break_circuit("fake")
    second = await house.paid()
    assert (first.gateway, second.gateway) == ("fake", "second")
    assert house.world.payments.rows["customer"].keys() == {("fake", "u_1"), ("second", "u_1")}


@pytest.mark.parametrize("outcome", [Outcome.UNKNOWN_BEFORE, Outcome.UNKNOWN_AFTER])
async def test_what_was_sent_is_never_sent_elsewhere_while_its_outcome_is_unknown(
    shop: Shop, outcome: Outcome
) -> None:
    house = shop.house
    order = await house.order()
    shop.first.script(outcome)
    await house.confirm(order.order_id, request_id="c1")
    shop.break_circuit("fake")
    await house.recover()  # puts off what belongs to the broken account
    await house.confirm(order.order_id, request_id="c1")
    with pytest.raises(PaymentInProgress):
        await house.pay(order, caller=SERVICE)
    assert (len(shop.first.sent), shop.second.sent) == (1, [])
    shop.mend()
    await house.recover()
    assert house.saved_order(order.order_id).status is OrderStatus.PAID
    assert shop.second.sent == []
    assert len(shop.first.intents) == 1


async def test_operations_of_a_broken_account_are_not_even_looked_up_and_others_are(shop: Shop) -> None:
    house = shop.house
    at_first = await house.paid()
    shop.break_circuit("fake")
    at_second = await house.paid()
    shop.mend()
    shop.first.script(Outcome.UNKNOWN_AFTER)
    shop.second.script(Outcome.UNKNOWN_AFTER)
    for payment in (at_first, at_second):
        await house.refund(payment, 400, request_id=f"r-{payment.gateway}")
    shop.break_circuit("fake")
    await house.recover()
    operations = house.world.payments.rows["operation"]
    assert operations["r-second-refund"].status is OperationStatus.SUCCEEDED
    assert (operations["r-fake-refund"].status, operations["r-fake-refund"].checks) == (
        OperationStatus.UNKNOWN,
        1,
    )
    shop.mend()
    await house.recover_operations()
    assert operations["r-fake-refund"].status is OperationStatus.SUCCEEDED


async def test_a_creation_that_never_left_us_is_as_if_never_begun(shop: Shop) -> None:
    """The same request may then go to another account."""
    house = shop.house
    order = await house.order(caller=SERVICE)
    shop.first.script(Outcome.NOT_SENT)
    with pytest.raises(GatewayUnavailable):
        await house.pay(order, request_id="p", caller=SERVICE)
    assert not house.world.payments.rows["payment"]
    assert not house.world.payments.rows["operation"]
    shop.break_circuit("fake")
    payment = await house.pay(order, request_id="p", caller=SERVICE)
    assert (payment.gateway, payment.status) == ("second", IntentStatus.SUCCEEDED)
    assert shop.first.intents == {}


async def test_an_order_whose_payment_never_left_us_is_paid_elsewhere(shop: Shop) -> None:
    house = shop.house
    order = await house.order()
    shop.first.script(Outcome.NOT_SENT)
    with pytest.raises(GatewayUnavailable):
        await house.confirm(order.order_id)
    shop.break_circuit("fake")
    await house.recover()
    assert house.saved_order(order.order_id).status is OrderStatus.PAID
    assert len(shop.second.intents) == 1


async def test_a_repetition_that_never_left_us_proves_nothing_of_the_first_sending(shop: Shop) -> None:
    house = shop.house
    order = await house.order()
    shop.first.script(Outcome.UNKNOWN_BEFORE, Outcome.NOT_SENT)
    await house.confirm(order.order_id, request_id="c1")
    house.clock.advance(minutes=1)
    await house.recover_operations()
    assert house.world.payments.rows["operation"]["c1-create"].status is OperationStatus.UNKNOWN
    assert len(shop.first.sent) == 2


async def test_a_first_sending_that_fails_after_a_repetition_forgets_nothing(shop: Shop) -> None:
    """The first process hangs in its connection; meanwhile recovery sends, and does not learn the outcome."""
    house = shop.house
    order = await house.order()
    shop.first.script(Outcome.NOT_SENT, Outcome.UNKNOWN_AFTER)
    execute = shop.first.execute

    async def hang(*arguments: object) -> object:
        shop.first.execute = execute  # type: ignore[method-assign]
        shop.first._scripted.rotate(-1)  # the repetition has the second outcome, this one the first
        house.clock.advance(minutes=1)
        await house.recover_operations()
        return await execute(*arguments)  # type: ignore[arg-type]

    shop.first.execute = hang  # type: ignore[method-assign,assignment]
    payment = await house.pay(order, request_id="p")
    assert payment.operation_unknown
    await house.recover()
    assert len(shop.first.intents) == 1
    assert house.payment("pay_p").intent_id is not None


async def test_a_first_sending_that_fails_forgets_nothing_while_a_repetition_is_on_its_way(
    shop: Shop,
) -> None:
    house = shop.house
    order = await house.order()
    execute = shop.first.execute
    arrived, answered = asyncio.Event(), asyncio.Event()
    recovery: list[asyncio.Task[int]] = []

    async def repeated(*arguments: Any) -> Any:
        answer = await execute(*arguments)
        arrived.set()
        await answered.wait()
        return answer

    async def first(*_: Any) -> Any:
        shop.first.execute = repeated  # type: ignore[method-assign,assignment]
        house.clock.advance(minutes=1)
        recovery.append(asyncio.create_task(house.recover_operations()))
        await arrived.wait()
        raise GatewayNotSent("connection refused")

    shop.first.execute = first  # type: ignore[method-assign,assignment]
    payment = await house.pay(order, request_id="p", confirm=False)
    assert payment.operation_unknown
    answered.set()
    await recovery[0]
    assert house.payment("pay_p").intent_id in shop.first.intents


async def test_nothing_new_is_begun_at_a_broken_account(shop: Shop) -> None:
    house = shop.house
    held, paid = await house.authorized(), await house.paid()
    waiting = await house.pay(await house.order(), confirm=False)
    sent = len(shop.first.sent)
    shop.break_circuit("fake")
    for call in (
        house.capture(held),
        house.cancel(held),
        house.refund(paid, 100),
        house.confirm_again(waiting),
    ):
        with pytest.raises(GatewayUnavailable):
            await call
    shop.break_circuit("second")
    with pytest.raises(GatewayUnavailable):
        await house.paid()
    assert (len(shop.first.sent), shop.second.sent) == (sent, [])
    assert all(not operation.open for operation in house.world.payments.rows["operation"].values())


async def test_an_event_of_one_account_never_touches_another_s_payment(shop: Shop) -> None:
    house = shop.house
    payment = await house.pay(await house.order(), confirm=False)
    assert payment.gateway == "fake"
    snapshot = shop.first.put_intent(
        payment.intent_id or "", status=IntentStatus.CANCELED, cancellation_reason="fraudulent"
    )
    event = shop.first.webhook("payment_intent.canceled", snapshot)
    assert await house.webhook(event, "second") is WebhookOutcome.WAITING
    await house.recover()
    assert house.payment(payment.payment_id).status is IntentStatus.REQUIRES_CONFIRMATION
    assert await house.webhook(event, "fake") is WebhookOutcome.APPLIED, "it was not kept for this account"
    assert house.payment(payment.payment_id).status is IntentStatus.CANCELED


async def test_a_refund_and_a_dispute_of_one_account_are_not_another_s(shop: Shop) -> None:
    """Not even where the other account reports them as its own."""
    house, world = shop.house, shop.world
    at_first = await house.paid()
    shop.break_circuit("fake")
    at_second = await house.paid()
    shop.mend()
    refund = await house.refund(at_first, 400)
    done = shop.first.refunds[refund.gateway_refund_id or ""]
    assert await house.webhook(shop.first.webhook("refund.updated", done), "second") is WebhookOutcome.WAITING

    forged = replace(done, intent_id=at_second.intent_id, status=GatewayRefundStatus.FAILED)
    await house.webhook(shop.second.webhook("refund.updated", forged), "second")
    assert world.payments.rows["refund"][refund.refund_id].status is RefundStatus.SUCCEEDED
    accused = house.payment(at_second.payment_id)
    assert (accused.amount_refunded, accused.attention) == (0, "GATEWAY_CONTRADICTS")

    opened = shop.first.open_dispute(at_first.intent_id or "")
    await house.webhook(shop.first.webhook("charge.dispute.created", opened))
    before = world.payments.rows["dispute"][opened.gateway_dispute_id]
    forged_dispute = replace(opened, intent_id=at_second.intent_id, status=DisputeStatus.LOST)
    await house.webhook(shop.second.webhook("charge.dispute.closed", forged_dispute), "second")
    assert world.payments.rows["dispute"][opened.gateway_dispute_id] == before
    assert before.payment_id == at_first.payment_id


async def test_a_webhook_for_an_account_that_is_not_configured(shop: Shop) -> None:
    with pytest.raises(GatewayUnavailable):
        await shop.house.receive_webhook(ReceiveWebhook("gone", b"{}", "right"))
