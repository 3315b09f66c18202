"""Whatever goes wrong between payments and gateway, exactly that is found, repaired where it can be, and found once."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from domain.payments.gateway import CaptureMethod, IntentStatus
from domain.payments.payment import Payment
from domain.reconciliation.finding import FindingStatus, FindingType
from tests.unit.reconciliation.desk import Desk

T, S = FindingType, FindingStatus
Fault = Callable[[Desk, Payment], None]
Found = list[tuple[FindingType, FindingStatus]]


def nothing(desk: Desk, payment: Payment) -> None:
    return


def refunded_in_the_dashboard(desk: Desk, payment: Payment) -> None:
    desk.gateway.refund_in_dashboard(payment.intent_id or "", 100)


def disputed(desk: Desk, payment: Payment) -> None:
    desk.gateway.open_dispute(payment.intent_id or "")


def completed_unheard(desk: Desk, payment: Payment) -> None:
    desk.gateway.complete_action(payment.intent_id or "")


def failed_unheard(desk: Desk, payment: Payment) -> None:
    desk.gateway.fail_action(payment.intent_id or "")


def canceled_in_the_dashboard(desk: Desk, payment: Payment) -> None:
    desk.gateway.cancel_in_dashboard(payment.intent_id or "")


def lapsed_unheard(desk: Desk, payment: Payment) -> None:
    desk.gateway.lapse(payment.intent_id or "")


def captured_row_altered(desk: Desk, payment: Payment) -> None:
    rows = desk.house.world.payments.rows["payment"]
    rows[payment.payment_id] = replace(rows[payment.payment_id], amount_captured=payment.amount_captured - 1)


def status_row_altered(desk: Desk, payment: Payment) -> None:
    rows = desk.house.world.payments.rows["payment"]
    rows[payment.payment_id] = replace(rows[payment.payment_id], status=IntentStatus.CANCELED)


PAID: dict[Fault, Found] = {
    nothing: [],
    refunded_in_the_dashboard: [(T.REFUND_AT_GATEWAY, S.REPAIRED)],
    disputed: [(T.UNKNOWN_DISPUTE, S.REPAIRED)],
    captured_row_altered: [(T.PAYMENT_ALTERED, S.OPEN), (T.AMOUNT_DIFFERS, S.OPEN)],
}
AWAITED: dict[Fault, Found] = {
    nothing: [],
    completed_unheard: [(T.MISSING_WEBHOOK, S.REPAIRED)],
    failed_unheard: [(T.MISSING_WEBHOOK, S.REPAIRED)],
    canceled_in_the_dashboard: [(T.MISSING_WEBHOOK, S.REPAIRED)],
}
HELD: dict[Fault, Found] = {
    nothing: [],
    canceled_in_the_dashboard: [(T.MISSING_WEBHOOK, S.REPAIRED)],
    lapsed_unheard: [(T.MISSING_WEBHOOK, S.REPAIRED)],
    status_row_altered: [(T.GATEWAY_DID_NOT_SUCCEED, S.OPEN)],
}
CASES = [
    *((("pm_card_visa", CaptureMethod.AUTOMATIC), fault, found) for fault, found in PAID.items()),
    *(
        (("pm_card_authenticationRequired", CaptureMethod.AUTOMATIC), fault, found)
        for fault, found in AWAITED.items()
    ),
    *((("pm_card_visa", CaptureMethod.MANUAL), fault, found) for fault, found in HELD.items()),
]


async def diverge(cases: list[int], heard: list[bool]) -> None:
    desk = Desk()
    await desk.round()
    payments: list[tuple[Payment, Fault, Found]] = []
    for case in cases:
        (token, method), fault, found = CASES[case]
        payment = await desk.paid(token=token, capture_method=method)
        payments.append((payment, fault, found))
    expected: list[tuple[FindingType, str, FindingStatus]] = []
    for (payment, fault, found), is_heard in zip(payments, heard, strict=True):
        before = len(desk.gateway.lists.events)
        fault(desk, payment)
        told = [one.event for one in desk.gateway.lists.events[before:]]
        if told and is_heard:
            for event in told:
                await desk.house.webhook(event)
            continue
        expected += [(finding_type, payment.payment_id, status) for finding_type, status in found]
    await desk.settle(3)
    findings = await desk.findings()
    assert sorted((one.type, one.payment_id or "", one.status) for one in findings) == sorted(expected)
    log = list(desk.house.world.payments.log)
    await desk.settle(2)
    await desk.sweep_all()
    assert [(one.finding_id, one.status) for one in await desk.findings()] == [
        (one.finding_id, one.status) for one in findings
    ]
    assert desk.house.world.payments.log == log


@settings(max_examples=10, deadline=None)
@given(st.data())
def test_exactly_what_went_wrong_is_found(data: st.DataObject) -> None:
    cases = data.draw(st.lists(st.integers(0, len(CASES) - 1), min_size=1, max_size=6))
    heard = data.draw(st.lists(st.booleans(), min_size=len(cases), max_size=len(cases)))
    asyncio.run(diverge(cases, heard))
