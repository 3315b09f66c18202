"""What the repository of webhooks does with what is kept: in memory and on PostgreSQL."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from domain.payments.webhook import StoredWebhook, WebhookFilter, WebhookOutcome
from tests.contract.repositories.conftest import Payments
from tests.contract.repositories.rows import LATER, a_webhook
from tests.support.house import START


async def _kept(payments: Payments, *webhooks: StoredWebhook) -> None:
    async with payments.unit_of_work() as uow:
        for webhook in webhooks:
            await uow.webhooks.insert(webhook)
        await uow.commit()


async def _found(
    payments: Payments, limit: int = 10, after: Any = None, newest_first: bool = True, **wanted: Any
) -> list[str]:
    async with payments.unit_of_work() as uow:
        found = await uow.webhooks.find(
            WebhookFilter(**wanted), newest_first=newest_first, after=after, limit=limit
        )
    return [webhook.event_id for webhook in found]


async def test_webhooks_are_found_by_what_is_asked_of_them(payments: Payments) -> None:
    applied = {"outcome": WebhookOutcome.APPLIED, "payment_id": "pay_1"}
    await _kept(
        payments,
        a_webhook("evt_1"),
        a_webhook(
            "evt_2", type="plan.created", is_known=False, outcome=WebhookOutcome.IGNORED, intent_id=None
        ),
        a_webhook("evt_3", received_at=LATER, **applied),
        a_webhook("evt_4", received_at=LATER, type="refund.created", **applied),
    )
    assert await _found(payments) == ["evt_4", "evt_3", "evt_2", "evt_1"]
    assert await _found(payments, limit=2) == ["evt_4", "evt_3"]
    assert await _found(payments, limit=2, after=(LATER, "evt_3")) == ["evt_2", "evt_1"]
    assert await _found(payments, limit=3, newest_first=False) == ["evt_1", "evt_2", "evt_3"]
    assert await _found(payments, after=(START, "evt_2"), newest_first=False) == ["evt_3", "evt_4"]
    assert await _found(payments, type="refund.created") == ["evt_4"]
    assert await _found(payments, outcome=WebhookOutcome.WAITING) == ["evt_1"]
    assert await _found(payments, payment_id="pay_1") == ["evt_4", "evt_3"]
    assert await _found(payments, is_known=False) == ["evt_2"]
    assert await _found(payments, begin=LATER) == ["evt_4", "evt_3"]
    assert await _found(payments, end=LATER) == ["evt_2", "evt_1"]
    async with payments.unit_of_work() as uow:
        counts = await uow.webhooks.count_types(begin=START)
        assert await uow.webhooks.get("fake", "evt_3") == a_webhook("evt_3", received_at=LATER, **applied)
        assert (
            (await uow.webhooks.look("fake", "evt_3", None))[0],
            (await uow.webhooks.look("fake", "evt_5", None))[0],
        ) == (True, False)
        assert await uow.webhooks.get("fake", "evt_5") is None
    assert [(kind.type, kind.is_known, kind.count, kind.last_received_at) for kind in counts] == [
        ("plan.created", False, 1, START),
        ("payment_intent.succeeded", True, 2, LATER),
        ("refund.created", True, 1, LATER),
    ]


async def test_what_became_of_a_webhook_is_decided_later_unless_it_was_applied(payments: Payments) -> None:
    await _kept(payments, a_webhook("evt_1"), a_webhook("evt_2"))
    async with payments.unit_of_work() as uow:
        await uow.webhooks.decide("fake", "evt_1", WebhookOutcome.NOTHING_NEW, None)
        await uow.webhooks.decide("fake", "evt_2", WebhookOutcome.APPLIED, "pay_1")
        await uow.webhooks.decide("fake", "evt_2", WebhookOutcome.NOTHING_NEW, "pay_1")
        await uow.commit()
    assert await _found(payments, outcome=WebhookOutcome.NOTHING_NEW, payment_id=None) == ["evt_1"]
    assert await _found(payments, outcome=WebhookOutcome.APPLIED, payment_id="pay_1") == ["evt_2"]


async def test_bodies_go_first_and_ids_long_after_a_few_at_a_time(payments: Payments) -> None:
    await _kept(payments, *(a_webhook(f"evt_{n}", received_at=START + timedelta(days=n)) for n in range(6)))
    async with payments.unit_of_work() as uow:
        end = START + timedelta(days=5)
        assert await uow.webhooks.forget(received_before=end, limit=10) == 0
        assert await uow.webhooks.drop_bodies(received_before=end, limit=3) == 3
        assert await uow.webhooks.drop_bodies(received_before=end, limit=3) == 2
        assert await uow.webhooks.drop_bodies(received_before=end, limit=3) == 0
        assert await uow.webhooks.forget(received_before=START + timedelta(days=2), limit=10) == 2
        await uow.commit()
    async with payments.unit_of_work() as uow:
        kept = await uow.webhooks.find(WebhookFilter(), newest_first=True, after=None, limit=10)
        assert [(webhook.event_id, webhook.body is None) for webhook in kept] == [
            ("evt_5", False),
            *((f"evt_{n}", True) for n in (4, 3, 2)),
        ]
        # One without its body waits no more: there is nothing to apply.
        assert await uow.webhooks.take_waiting("fake", "pi_pay_1", "pay_1") == [
            replace(kept[0], payment_id="pay_1")
        ]


async def test_a_customer_whom_the_gateway_deleted_is_forgotten_once(payments: Payments) -> None:
    async with payments.unit_of_work() as uow:
        await uow.customers.put("stripe", "u_1", "cus_1")
        assert not await uow.customers.forget("stripe", "u_1", "cus_2")
        assert not await uow.customers.forget("other", "u_1", "cus_1")
        assert await uow.customers.forget("stripe", "u_1", "cus_1")
        assert not await uow.customers.forget("stripe", "u_1", "cus_1")
        assert await uow.customers.put("stripe", "u_1", "cus_2") == "cus_2"
