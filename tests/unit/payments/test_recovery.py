"""What becomes of operations that were cut off, overtaken or run twice."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from domain.orders.status import OrderStatus
from domain.payments.errors import GatewayRefusedRequest, GatewayUnavailable
from domain.payments.gateway import GatewayRefundStatus, GatewayRefused, IntentSnapshot, IntentStatus
from domain.payments.operation import OperationStatus
from domain.payments.refund import RefundStatus
from tests.support.fake_gateway import FakeGateway, Outcome
from tests.support.house import House, types

LINES_REFUSED = GatewayRefused("parameter_invalid", "Bad line.", param="amount_details[line_items][0]")


def executed(house: House, path: str) -> int:
    """How many calls of this kind the gateway carried out."""
    return sum(request.path == path for request, _ in house.gateway.performed.values())


Call = Callable[[House], Awaitable[Any]]


async def _capture(house: House) -> object:
    return await house.capture(house.payment("pay_p"), request_id="same")


async def _cancel(house: House) -> object:
    return await house.cancel(house.payment("pay_p"), request_id="same")


async def _refund(house: House) -> object:
    return await house.refund(house.payment("pay_p"), 400, request_id="same")


async def _confirm(house: House) -> object:
    return await house.confirm_again(house.payment("pay_p"), request_id="same")


async def _create(house: House) -> object:
    return await house.pay(house.saved_order("ord_o"), request_id="same")


@pytest.mark.parametrize(
    ("call", "token", "method"),
    [
        (_capture, "pm_card_visa", "MANUAL"),
        (_cancel, "pm_card_visa", "MANUAL"),
        (_refund, "pm_card_visa", "AUTOMATIC"),
        (_confirm, "pm_card_chargeDeclined", "AUTOMATIC"),
        (_create, None, None),
    ],
)
async def test_a_request_that_runs_twice_at_once_is_done_once(
    call: Call, token: str | None, method: str | None
) -> None:
    """A repetition may take over while the first run still waits for the gateway."""
    house = House()
    order = await house.order(request_id="o")
    if method is not None:
        await house.pay(order, token, request_id="p", capture_method=method)
    before = len(house.gateway.performed)
    results = await asyncio.gather(*(call(house) for _ in range(3)), return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            assert getattr(result, "code", None) == "operation_in_flight"
    assert not all(isinstance(result, BaseException) for result in results)
    await house.recover()
    assert len(house.gateway.performed) == before + (2 if call is _create else 1)
    assert len(house.gateway.refunds) == (1 if call is _refund else 0)
    assert not any(operation.open for operation in house.world.payments.rows["operation"].values())


async def test_a_look_up_that_tells_nothing_new_does_not_end_an_operation_that_was_never_sent() -> None:
    house = House()
    payment = await house.pay(await house.order(), "pm_card_authenticationRequired")
    old = house.gateway.webhook(
        "payment_intent.requires_action", house.gateway.intents[payment.intent_id or ""]
    )
    house.gateway.fail_action(payment.intent_id or "")
    await house.webhook(
        house.gateway.webhook("payment_intent.payment_failed", house.gateway.intents[payment.intent_id or ""])
    )
    house.gateway.script(Outcome.UNKNOWN_BEFORE)
    await house.confirm_again(payment)
    await house.webhook(old)
    await house.recover()
    assert house.payment(payment.payment_id).status is IntentStatus.SUCCEEDED
    assert executed(house, "confirm") == 2


async def test_recovery_that_ends_a_creation_beside_its_repetition_leaves_the_confirmation_to_it() -> None:
    """Whoever concludes the creation, a payment that was to be confirmed is confirmed."""
    house = House()
    order = await house.order()
    house.gateway.script(Outcome.UNKNOWN_AFTER)
    payment = await house.pay(order, request_id="p")
    assert payment.operation_unknown
    house.clock.advance(minutes=1)
    looked_up = _Held(house.gateway, "find_intent")
    repetition = asyncio.create_task(house.pay(order, request_id="p"))
    await looked_up.reached.wait()
    looked_up.let_others_pass()
    await house.recover_operations()
    looked_up.go_on.set()
    assert (await repetition).status is IntentStatus.SUCCEEDED
    assert executed(house, "confirm") == 1


class _Held:
    """A method of the gateway whose answer waits to be let go."""

    def __init__(self, gateway: FakeGateway, name: str) -> None:
        self._gateway, self._name, self._original = gateway, name, getattr(gateway, name)
        self.reached, self.go_on = asyncio.Event(), asyncio.Event()
        setattr(gateway, name, self)

    async def __call__(self, *arguments: Any, **named: Any) -> Any:
        result = await self._original(*arguments, **named)
        self.reached.set()
        await self.go_on.wait()
        return result

    def let_others_pass(self) -> None:
        setattr(self._gateway, self._name, self._original)


async def test_a_refused_look_up_while_concluding_is_an_unknown_outcome() -> None:
    house = House()
    order = await house.order()
    payment = await house.pay(order, None, confirm=False)
    confirmed = _Held(house.gateway, "execute")
    confirming = asyncio.create_task(house.confirm_again(payment, "pm_card_authenticationRequired"))
    await confirmed.reached.wait()
    confirmed.let_others_pass()
    # Meanwhile the customer fails the authentication, and that is recorded first.
    intent = house.gateway.fail_action(payment.intent_id or "")
    await house.webhook(house.gateway.webhook("payment_intent.payment_failed", intent))

    async def refuse(intent_id: str) -> IntentSnapshot:
        raise GatewayRefused("api_key_expired", "Expired API key.")

    look_up = house.gateway.get_intent
    house.gateway.get_intent = refuse  # type: ignore[method-assign]
    confirmed.go_on.set()
    assert (await confirming).operation_unknown
    house.gateway.get_intent = look_up  # type: ignore[method-assign]
    await house.recover()
    saved = house.payment(payment.payment_id)
    assert (saved.status, saved.operation_unknown) == (IntentStatus.REQUIRES_PAYMENT_METHOD, False)
    assert types(house.log()) == ["PaymentFailed"]


async def test_line_items_that_are_refused_are_dropped_and_the_payment_is_made() -> None:
    house = House()
    house.gateway.script(LINES_REFUSED)
    order = await house.order()
    await house.confirm(order.order_id)
    await house.deliver()
    assert house.saved_order(order.order_id).status is OrderStatus.PAID
    (first, _), (second, _), _ = house.gateway.sent
    assert first.params["lines"]
    assert not second.params["lines"]


async def test_line_items_refused_at_recovery_leave_the_order_payable() -> None:
    """Recovery knows the saved request only, so the next attempt is the one without them."""
    house = House()
    house.gateway.script(Outcome.UNKNOWN_BEFORE, LINES_REFUSED)
    order = await house.order()
    await house.confirm(order.order_id)
    await house.recover()
    assert house.saved_order(order.order_id).status is OrderStatus.PAYMENT_FAILED
    house.gateway.script(LINES_REFUSED)
    await house.retry(order.order_id)
    await house.deliver()
    assert house.saved_order(order.order_id).status is OrderStatus.PAID
    assert executed(house, "confirm") == 1


async def test_a_creation_refused_for_good_frees_the_order() -> None:
    house = House()
    order = await house.order()
    house.gateway.script(GatewayRefused("amount_too_small", "Too small.", param="amount"))
    with pytest.raises(GatewayRefusedRequest):
        await house.confirm(order.order_id, request_id="c1")
    assert house.saved_order(order.order_id).status is OrderStatus.DRAFT
    with pytest.raises(GatewayRefusedRequest):
        await house.confirm(order.order_id, request_id="c1")
    await house.confirm(order.order_id, request_id="c2")
    await house.deliver()
    assert house.saved_order(order.order_id).status is OrderStatus.PAID
    assert house.payment("pay_c1").status is IntentStatus.CANCELED
    assert house.log("pay_c1") == []


async def test_a_confirmation_refused_leaves_the_order_able_to_try_again() -> None:
    """The payment stays live, so the order must know of it: a new one would be refused for ever."""
    house = House()
    order = await house.order()
    house.gateway.script(Outcome.NORMAL, GatewayRefused("url_invalid", "Not a URL.", param="return_url"))
    with pytest.raises(GatewayRefusedRequest):
        await house.confirm(order.order_id, request_id="c1")
    status = house.saved_order(order.order_id).status
    if status is OrderStatus.DRAFT:
        await house.confirm(order.order_id, request_id="c2")
    else:
        await house.retry(order.order_id, request_id="c2")
    await house.deliver()
    assert house.saved_order(order.order_id).status is OrderStatus.PAID
    assert len(house.gateway.intents) == 1


async def test_one_payment_that_cannot_be_looked_up_does_not_hold_up_the_others() -> None:
    house = House()
    first, second = await house.order(), await house.order()
    house.gateway.script(Outcome.UNKNOWN_BEFORE, Outcome.UNKNOWN_BEFORE)
    await house.confirm(first.order_id, request_id="c1")
    await house.confirm(second.order_id, request_id="c2")
    look_up = house.gateway.find_intent

    async def refuse_first(payment_id: str, **named: Any) -> IntentSnapshot | None:
        if payment_id == "pay_c1":
            raise GatewayRefused("account_closed", "No.")
        return await look_up(payment_id, **named)

    house.gateway.find_intent = refuse_first  # type: ignore[method-assign]
    await house.recover()
    assert house.saved_order(first.order_id).status is OrderStatus.PENDING_PAYMENT
    assert house.payment("pay_c1").operation_unknown
    assert house.saved_order(second.order_id).status is OrderStatus.PAID


async def test_a_request_the_gateway_never_received_is_not_sent_again_after_20_hours() -> None:
    house = House()
    order = await house.order()
    house.gateway.script(Outcome.UNKNOWN_BEFORE)
    await house.confirm(order.order_id, request_id="c1")
    sent = len(house.gateway.sent)
    house.clock.advance(hours=20)
    await house.recover()
    assert len(house.gateway.sent) == sent
    assert house.world.payments.rows["operation"]["c1-create"].status is OperationStatus.FAILED
    assert house.saved_order(order.order_id).status is OrderStatus.PAYMENT_FAILED
    await house.retry(order.order_id, request_id="c2")
    await house.deliver()
    assert house.saved_order(order.order_id).status is OrderStatus.PAID
    assert types(house.log()) == ["PaymentCanceled", "PaymentSucceeded"]


async def test_what_the_gateway_did_is_found_after_20_hours() -> None:
    house = House()
    payment = await house.paid()
    house.gateway.script(Outcome.UNKNOWN_AFTER)
    refund = await house.refund(payment, 400)
    assert (refund.status, refund.operation_unknown) == (RefundStatus.PENDING, True)
    house.clock.advance(days=2)
    await house.recover()
    saved = house.world.payments.rows["refund"][refund.refund_id]
    assert (saved.status, saved.operation_unknown) == (RefundStatus.SUCCEEDED, False)
    assert types(house.log()) == ["PaymentSucceeded", "RefundProcessed"]


async def test_a_refund_given_up_that_the_gateway_has_after_all_is_flagged() -> None:
    house = House()
    payment = await house.paid()
    house.gateway.script(GatewayRefused("balance_insufficient", "Not now."))
    refund = await house.refund(payment, 400)
    assert refund.status is RefundStatus.FAILED
    done = await house.gateway.execute(
        house.gateway.prepare_refund(
            payment.intent_id or "",
            refund_id=refund.refund_id,
            payment_id=payment.payment_id,
            order_id=payment.order_id,
            amount=400,
            currency="EUR",
            reason="arrived broken",
        ),
        "another key",
    )
    assert done.status is GatewayRefundStatus.SUCCEEDED
    await house.webhook(house.gateway.webhook("refund.created", done))
    assert house.payment(payment.payment_id).attention == "GATEWAY_CONTRADICTS"


async def test_a_gateway_that_is_down_is_unknown_once_an_operation_is_saved_and_unavailable_before() -> None:
    house = House()
    order = await house.order()
    house.gateway.down = True
    with pytest.raises(GatewayUnavailable):
        await house.pay(order, request_id="p")
    assert not house.world.payments.rows["payment"]
    house.gateway.down = False
    payment = await house.pay(order, request_id="p")
    house.gateway.down = True
    refund = await house.refund(payment, 100, request_id="r")
    assert refund.operation_unknown
    await house.recover_operations()
    house.gateway.down = False
    await house.recover()
    assert house.payment(payment.payment_id).amount_refunded == 100
    assert len(house.gateway.refunds) == 1
