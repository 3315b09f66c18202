"""The services' ports of one another: the same beside each other in a process, and over HTTP."""

from collections.abc import Sequence
from dataclasses import replace
from uuid import uuid4

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.orders.attempt import AttemptKind
from domain.payments.gateway import GatewayUnknown
from domain.reconciliation.order_ports import Asked
from domain.shared.callers import Caller
from domain.shared.errors import Conflict, NotFound, Refused, Unavailable
from outbox import Event, EventKey, OrderedInbox
from tests.contract.services.conftest import Meeting, attempt_at
from tests.support.fake_gateway import Outcome
from tests.support.house import CUSTOMER, SERVICE, STRANGER


async def test_a_payment_is_made_once_and_confirmed_again(meeting: Meeting) -> None:
    order = await meeting.order()
    attempt = attempt_at(order)
    paid = await meeting.payments.pay(order, attempt)
    assert (paid.payment_id, paid.status) == (f"pay_{attempt.attempt_id}", "SUCCEEDED")
    assert paid.gateway_payment_intent_id in meeting.gateway.intents
    assert await meeting.payments.pay(order, attempt) == paid
    assert len(meeting.gateway.intents) == 1

    second = await meeting.order()
    declined = await meeting.payments.pay(
        second, attempt_at(second, payment_method_token="pm_card_chargeDeclined")
    )
    assert declined.status == "REQUIRES_PAYMENT_METHOD"
    assert declined.last_error is not None
    assert declined.last_error.code == "card_declined"
    assert declined.client_secret
    again = attempt_at(
        second,
        AttemptKind.CONFIRM,
        payment_id=declined.payment_id,
        payment_method_token="pm_card_authenticationRequired",
    )
    waiting = await meeting.payments.confirm(second, again)
    assert waiting.next_action is not None
    assert (waiting.status, waiting.next_action.type) == ("REQUIRES_ACTION", "REDIRECT")
    assert waiting.next_action.redirect_url
    cancel = attempt_at(second, AttemptKind.CANCEL, payment_id=declined.payment_id, reason="changed my mind")
    assert (await meeting.payments.cancel(cancel)).status == "CANCELED"
    assert (await meeting.payments.cancel(cancel)).status == "CANCELED"


async def test_what_is_refused_is_refused_by_the_same_code(meeting: Meeting) -> None:
    order = await meeting.order()
    with pytest.raises(Refused) as refused:
        await meeting.payments.pay(order, attempt_at(order, payment_method_token="pm_nobody_knows"))
    assert refused.value.code == "payment_method_unknown"
    assert [fault.pointer for fault in refused.value.faults] == ["/paymentMethodToken"]
    assert meeting.gateway.intents == {}

    await meeting.payments.pay(order, attempt_at(order, payment_method_token="pm_card_chargeDeclined"))
    with pytest.raises(Conflict) as conflict:
        await meeting.payments.pay(order, attempt_at(order))
    assert (conflict.value.code, conflict.value.retry_after_seconds) == ("payment_in_progress", None)

    unheard_of = attempt_at(order, AttemptKind.CANCEL, payment_id="pay_0")
    with pytest.raises(NotFound) as unknown:
        await meeting.payments.cancel(unheard_of)
    assert unknown.value.code == "payment_not_found"

    changed = await meeting.order()
    with pytest.raises(Refused) as differs:
        await meeting.payments.pay(replace(changed, shipping_amount=1), attempt_at(changed))
    assert differs.value.code == "order_terms_differ"


async def test_an_outcome_that_nobody_knows_is_told_once_it_is_known(meeting: Meeting) -> None:
    order = await meeting.order()
    attempt = attempt_at(order)
    meeting.gateway.script(Outcome.NORMAL, GatewayUnknown("no answer"))
    unknown = await meeting.payments.pay(order, attempt)
    assert unknown.operation_unknown
    gives_way = attempt_at(order, AttemptKind.CANCEL, payment_id=unknown.payment_id, gives_way=True)
    with pytest.raises(Conflict) as busy:
        await meeting.payments.cancel(gives_way)
    assert (busy.value.code, busy.value.retry_after_seconds) == ("operation_in_flight", 1)
    known = await meeting.payments.pay(order, attempt)
    assert (known.operation_unknown, known.status) == (False, "SUCCEEDED")
    assert len(meeting.gateway.intents) == 1

    meeting.gateway.down = True
    other = await meeting.order(user_id="u_1")
    with pytest.raises(Unavailable) as away:
        await meeting.payments.pay(other, attempt_at(other))
    assert away.value.code == "gateway_unavailable"
    assert away.value.retry_after_seconds


async def test_money_goes_back_for_a_person_by_the_orders_own_id(meeting: Meeting) -> None:
    order = await meeting.order()
    paid = await meeting.payments.pay(order, attempt_at(order))
    part = attempt_at(
        order,
        AttemptKind.REFUND,
        payment_id=paid.payment_id,
        amount=300,
        reason="torn",
        requested_by="u_agent",
    )
    refund = await meeting.payments.refund(part)
    assert (refund.refund_id, refund.amount, refund.currency) == (part.refund_id, 300, "EUR")
    assert (refund.reason, refund.status) == ("torn", "SUCCEEDED")
    assert await meeting.payments.refund(part) == refund
    async with meeting.services.payments.payments.create_refund.unit_of_work() as uow:
        saved = await uow.refunds.get(refund.refund_id)
        operation = await uow.operations.get(f"{part.attempt_id}-refund")
    assert saved is not None
    assert operation is not None
    assert (saved.requested_by, operation.requested_by, operation.actor) == ("u_agent", "u_agent", "orders")

    rest = attempt_at(order, AttemptKind.REFUND, payment_id=paid.payment_id)
    assert (await meeting.payments.refund(rest)).amount == 700
    with pytest.raises(Conflict) as nothing:
        await meeting.payments.refund(attempt_at(order, AttemptKind.REFUND, payment_id=paid.payment_id))
    assert nothing.value.code == "nothing_to_refund"

    story = await meeting.stories(order.order_id)
    assert {entry.ids["paymentId"] for entry in story} == {paid.payment_id}
    local = await meeting.services.payments.payments.read_story(order.order_id)
    assert list(story) == list(local)
    assert await meeting.stories("ord_unheard-of") == []


async def test_terms_are_shown_to_those_who_may_pay(meeting: Meeting) -> None:
    order = await meeting.order(caller=CUSTOMER)
    for caller in (SERVICE, CUSTOMER, replace(CUSTOMER, actor="orders")):
        terms = await meeting.terms.get(order.order_id, caller)
        assert terms is not None
        assert (terms.order_id, terms.version, terms.amount, terms.currency, terms.payable) == (
            order.order_id,
            order.version,
            1000,
            "EUR",
            True,
        )
    guest = Caller("guest", frozenset({"payments:write"}), order_id="ord_another")
    for caller in (STRANGER, guest):
        assert await meeting.terms.get(order.order_id, caller) is None
    assert await meeting.terms.get("ord_unheard-of", SERVICE) is None


async def test_a_consumer_says_what_it_has(meeting: Meeting) -> None:
    keys = [EventKey(uuid4(), f"pay_{number}", 1) for number in range(1100)]
    answer = await meeting.consumer.compare(keys)
    assert answer.missing == {key.id for key in keys}
    engine = meeting.services.orders.orders.engine
    inbox = OrderedInbox("orders", "orders", _apply_nothing)
    async with engine.begin() as connection:
        await inbox.begin_at(connection, {"pay_1": 2})
    answer = await meeting.consumer.compare(keys[:2])
    assert (set(answer.missing), answer.applied["pay_1"]) == ({keys[0].id}, 2)
    await meeting.consumer.park_forked({"pay_1": "forked: 2 applied"})
    async with engine.connect() as connection:
        progress = await inbox.progress(connection, ["pay_1"])
    assert progress["pay_1"].forked == "forked: 2 applied"
    held = await meeting.consumer.held()
    assert (held.waiting, held.due, held.parked, held.forked) == (0, 0, 0, 1)
    status = await meeting.services.payments.logs["payments"].consumer_status("orders")
    assert (status.lag.number, status.forked.number) == (0, 1)


async def _apply_nothing(_connection: AsyncConnection, _events: Sequence[Event], /) -> None:
    raise AssertionError("nothing is applied here")


async def test_reconciliation_gives_money_back_as_itself_and_once(meeting: Meeting) -> None:
    order, manual = await meeting.order(), await meeting.order()
    await meeting.payments.pay(order, attempt_at(order))
    await meeting.payments.pay(manual, attempt_at(manual, capture_method="MANUAL"))
    give_back = meeting.services.orders.reconciliation.give_back("reconciler")
    [paid] = await give_back.payments.of_orders([order.order_id])
    [held] = await give_back.payments.of_orders([manual.order_id])
    for _ in range(2):
        voided = await give_back.money.void("repair-1", held, "reconciliation: TWO_LIVE_PAYMENTS")
        assert voided == Asked(f"payment {held.payment_id} is CANCELED")
        returned = await give_back.money.refund("repair-2", paid, "reconciliation: PAYMENT_WITHOUT_ORDER")
        assert returned == Asked("refund ref_repair-2 of 1000 is SUCCEEDED")
    refund = await meeting.services.payments.payments.get_refund(SERVICE, "ref_repair-2")
    assert (refund.requested_by, refund.actor) == ("reconciler", "orders")
    assert len(meeting.gateway.refunds) == 1
    with pytest.raises(Conflict):  # it is about another payment
        await give_back.money.refund("repair-2", held, "reconciliation: PAYMENT_WITHOUT_ORDER")
