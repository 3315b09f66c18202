"""One customer at the gateway for each user: made with the first payment, and again where it was deleted."""

from typing import Any

import pytest

from domain.payments.errors import GatewayRefusedRequest, GatewayUnavailable
from domain.payments.gateway import GatewayUnknown, IntentStatus
from domain.payments.payment import Payment
from tests.support.fake_gateway import FakeGateway, Outcome
from tests.support.house import SERVICE, House, World, all_of, types


class Forgetful:
    def __init__(self, gateway: FakeGateway) -> None:
        self._gateway = gateway
        self._forgets = True

    def __getattr__(self, name: str) -> Any:
        return getattr(self._gateway, name)

    async def create_customer(self, *arguments: Any) -> str:
        made = await self._gateway.create_customer(*arguments)
        if self._forgets:
            self._forgets = False
            raise GatewayUnknown("no answer")
        return made


def forgetful(world: World) -> House:
    """A house whose gateway makes one customer and does not say so."""
    return House(world, lambda port: Forgetful(port) if isinstance(port, FakeGateway) else port)


def customers_of(house: House) -> dict[Any, str]:
    kept: dict[Any, str | None] = house.world.payments.rows["customer"]
    return {user: customer for user, customer in kept.items() if customer is not None}


async def delete_customer(house: House) -> str:
    """A first payment, whose customer somebody then deletes in the gateway's dashboard."""
    first = await house.paid()
    house.gateway.deleted_customers.add(first.gateway_customer_id or "")
    return first.gateway_customer_id or ""


def customer_at_the_gateway(house: House, payment: Payment) -> str | None:
    return house.gateway.intents[payment.intent_id or ""].customer_id


async def test_a_user_s_payments_have_one_customer() -> None:
    house = House()
    payments = [await house.paid() for _ in range(3)]
    assert len({payment.gateway_customer_id for payment in payments}) == len(house.gateway.customers) == 1
    guest = await house.pay(await house.order(caller=SERVICE), caller=SERVICE)
    assert guest.gateway_customer_id is None


async def test_two_first_payments_at_once_keep_one_customer() -> None:
    house = House()
    orders = [await house.order() for _ in range(2)]
    payments = await all_of(*(house.pay(order) for order in orders))
    assert len(house.gateway.customers) == 2  # the second one is without payments, and harmless
    [kept] = customers_of(house).values()
    assert [payment.status for payment in payments] == [IntentStatus.SUCCEEDED] * 2
    assert {payment.gateway_customer_id for payment in payments} == {kept}
    assert {customer_at_the_gateway(house, payment) for payment in payments} == {kept}


async def test_a_customer_of_unknown_outcome_begins_nothing_and_the_repetition_finds_it() -> None:
    house = forgetful(World())
    order = await house.order()
    with pytest.raises(GatewayUnavailable):
        await house.pay(order, request_id="0" * 26)
    assert not house.world.payments.rows["payment"]
    assert house.gateway.sent == []
    paid = await house.pay(order, request_id="0" * 26)
    assert len(house.gateway.customers) == 1  # the same key
    assert [paid.gateway_customer_id] == list(house.gateway.customers.values())


async def test_a_deleted_customer_is_made_anew_in_the_same_call() -> None:
    house = House()
    deleted = await delete_customer(house)
    paid = await house.paid()
    assert paid.status is IntentStatus.SUCCEEDED
    assert paid.gateway_customer_id not in (None, deleted)
    assert list(customers_of(house).values()) == [paid.gateway_customer_id]
    assert customer_at_the_gateway(house, paid) == paid.gateway_customer_id
    assert types(house.log(paid.payment_id)) == ["PaymentSucceeded"]
    assert (await house.paid()).gateway_customer_id == paid.gateway_customer_id


async def test_the_repetition_of_a_call_that_was_cut_off_after_the_refusal() -> None:
    """The process dies once the customer is found deleted: the refusal comes again, and then a new one."""
    house = House()
    await delete_customer(house)
    order, request_id = await house.order(), "1" * 26
    house.gateway.script(Outcome.UNKNOWN_AFTER)  # refused, and nobody hears it
    unheard = await house.pay(order, request_id=request_id)
    assert unheard.operation_unknown
    paid = await house.pay(order, request_id=request_id)
    assert paid.status is IntentStatus.SUCCEEDED
    assert list(customers_of(house).values()) == [paid.gateway_customer_id]


async def test_where_no_new_customer_is_made_the_refusal_stands_and_the_next_payment_makes_one() -> None:
    house = House()
    await delete_customer(house)
    order = await house.order()
    house = forgetful(house.world)
    with pytest.raises(GatewayRefusedRequest):
        await house.pay(order)
    assert customers_of(house) == {}
    assert (await house.pay(order)).status is IntentStatus.SUCCEEDED


async def test_a_deleted_customer_s_methods_pay_no_more() -> None:
    house = House()
    deleted = await delete_customer(house)
    house.gateway.attach("pm_saved", deleted)
    house.gateway.methods.detach("pm_saved")  # the gateway does so with the customer
    with pytest.raises(Exception, match="saved"):
        await house.pay(await house.order(), "pm_saved", off_session=True)
