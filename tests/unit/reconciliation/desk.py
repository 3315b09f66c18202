"""The house with somebody who compares its payments with the gateway."""

from collections.abc import Mapping
from datetime import timedelta
from functools import partial
from typing import Any

from adapters.services.gateway_book import Budget, GatewaysBook
from adapters.services.repairs import PaymentRepairs
from domain.payments.payment import Payment
from domain.payments.use_cases.take_over_report import TakeOverReportHandler
from domain.reconciliation.finding import Action, Finding, FindingStatus, FindingType
from domain.reconciliation.policy import RepairPolicy
from domain.reconciliation.ports import FindingFilter
from domain.reconciliation.use_cases.compare_gateway import CompareGatewayHandler
from domain.reconciliation.use_cases.examine_objects import Examined, ExamineObjectsHandler
from domain.reconciliation.use_cases.record_differences import RecordDifferencesHandler
from domain.reconciliation.use_cases.sweep_gateway import SweepGatewayHandler
from tests.support.house import House
from tests.support.memory import Database
from tests.support.memory_own_book import MemoryOwnBook
from tests.support.memory_reconciliation import MemoryReconciliationUnitOfWork

GRACE = timedelta(seconds=30)


async def _no_pause(seconds: float) -> None:
    return


class Desk:
    def __init__(self, policy: Mapping[FindingType, Action] | None = None) -> None:
        self.house = House()
        self.gateway, self.clock = self.house.gateway, self.house.clock
        self.kept = Database()
        self.own = MemoryOwnBook(self.house.world.payments)
        self.unit_of_work = partial(MemoryReconciliationUnitOfWork, self.kept)
        repair_policy = RepairPolicy(policy or {})
        self.book = GatewaysBook(
            self.house.gateways,
            Budget(1000, sleep=_no_pause),
            sleep=_no_pause,
        )
        record = RecordDifferencesHandler(self.unit_of_work, repair_policy, self.clock, self.house.ids)
        self.take_over = TakeOverReportHandler(self.house.receive_webhook)
        self.examine = ExamineObjectsHandler(
            self.own,
            self.book,
            record,
            PaymentRepairs(self.take_over, self.house.create_refund, "reconciler"),
            self.unit_of_work,
            repair_policy,
            self.clock,
        )
        self.sweep = SweepGatewayHandler(self.own, self.book)
        self.round = CompareGatewayHandler(
            self.own,
            self.book,
            self.examine,
            self.sweep,
            self.unit_of_work,
            self.clock,
            GRACE,
            timedelta(days=1),
            timedelta(days=30),
        )

    async def paid(self, amount: int = 1000, token: str = "pm_card_visa", **changes: Any) -> Payment:
        """An order paid by this method; the payment as it is then."""
        order = await self.house.order(amount)
        await self.house.confirm(order.order_id, token, **changes)
        return self.payments[order.order_id]

    @property
    def payments(self) -> Mapping[str, Payment]:
        """By order, as they are committed."""
        rows: Mapping[str, Payment] = self.house.world.payments.rows["payment"]
        return {payment.order_id: payment for payment in rows.values()}

    def payment(self, payment_id: str) -> Payment:
        payment: Payment = self.house.world.payments.rows["payment"][payment_id]
        return payment

    async def settle(self, rounds: int = 3) -> list[Examined]:
        """Rounds, each later than the grace and than the pause between two looks at what is open."""
        done = []
        for _ in range(rounds):
            self.clock.advance(seconds=61)
            done.append(await self.round())
        return done

    async def sweep_all(self) -> Examined:
        """A full sweep of the last days; what it suspects is examined once it is old enough."""
        now = self.clock.now()
        begin, end = now - timedelta(days=3), now + timedelta(hours=1)
        refs = [ref async for ref in self.sweep("fake", since=begin, until=end)]
        self.clock.advance(seconds=61)
        done = Examined()
        await self.examine(refs, {}, apply=True, done=done)
        return done

    async def findings(self, status: FindingStatus | None = None) -> list[Finding]:
        """The oldest first."""
        async with self.unit_of_work() as uow:
            found = await uow.findings.list(FindingFilter(status=status), after=None, limit=1000)
        return [*found][::-1]

    async def told(self) -> list[tuple[FindingType, FindingStatus]]:
        return [(one.type, one.status) for one in await self.findings()]
