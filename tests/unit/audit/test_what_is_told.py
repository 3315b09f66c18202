"""What people and services do with authority is told in the audit log; what customers do with their own is not."""

from dataclasses import replace

import pytest

from adapters.services.identities import ORDERS
from domain.payments.errors import PaymentStateForbids
from domain.payments.use_cases.capture_payment import CapturePayment
from domain.shared.audit import AuditEntry
from domain.shared.callers import Caller, has_authority
from tests.support.house import CUSTOMER, OPERATOR, SERVICE, House


def told(house: House) -> list[tuple[str, str, str]]:
    """Action, subject and object of each entry, of the order side and then of the payment side."""
    entries: list[AuditEntry] = [
        record.entry for side in (house.world.orders, house.world.payments) for record in side.audit
    ]
    return [(entry.action, entry.subject, entry.object_id) for entry in entries]


async def test_a_customers_own_checkout_and_cancellation_write_no_entry() -> None:
    house = House()
    order = await house.order()
    await house.confirm(order.order_id)
    await house.deliver()
    other = await house.order()
    await house.confirm(other.order_id, None)
    await house.call_off(other.order_id)
    payment = await house.authorized()
    await house.cancel(payment)
    assert told(house) == []


async def test_captures_and_voids_of_others_money_are_told_with_the_operation_that_begins_them() -> None:
    house = House()
    captured, canceled = await house.authorized(), await house.authorized()
    for _ in range(2):  # the same request, repeated
        await house.capture(captured, 700, request_id="cap")
    await house.cancel(canceled, caller=SERVICE, reason="nothing left", request_id="void")
    assert told(house) == [
        ("payment.capture", "service", captured.payment_id),
        ("payment.cancel", "service", canceled.payment_id),
    ]
    first, second = (record.entry for record in house.world.payments.audit)
    assert first.before == {"status": "REQUIRES_CAPTURE", "amountCaptured": 0}
    assert first.after == {"amountCaptured": 700, "final": True, "operationId": "cap-capture"}
    assert (second.reason, second.after["kind"]) == ("nothing left", "CANCEL")


async def test_staff_ships_and_cancels_on_record_and_counts_stock() -> None:
    house = House()
    order = await house.order()
    await house.count("OAK", 3)
    await house.confirm(order.order_id)
    await house.deliver()
    for _ in range(2):
        await house.fulfil_order("req_1", SERVICE, order.order_id)
    unpaid = await house.order()
    await house.confirm(unpaid.order_id, None)
    await house.call_off(unpaid.order_id, caller=SERVICE)
    assert told(house) == [
        ("stock.count", "operator", "OAK"),
        ("order.fulfil", "service", order.order_id),
        ("order.cancel", "service", unpaid.order_id),
    ]
    counted = house.world.orders.audit[0].entry
    assert (counted.before, counted.after) == ({"onHand": None}, {"onHand": 3})


async def test_a_refused_capture_writes_no_entry() -> None:
    house = House()
    payment = await house.paid()
    with pytest.raises(PaymentStateForbids):
        await house.capture_payment(
            CapturePayment(request_id="r", caller=SERVICE, payment_id=payment.payment_id)
        )
    assert told(house) == []


def test_who_has_authority() -> None:
    assert has_authority(OPERATOR)
    assert has_authority(SERVICE)
    assert not has_authority(CUSTOMER)
    assert not has_authority(ORDERS)
    assert not has_authority(replace(ORDERS, subject="u_1", actor="orders"))
    assert has_authority(Caller("orders", SERVICE.scopes, issuer="payonce")), "anybody may be called so"
