"""The house with somebody who compares its orders with its payments."""

from collections.abc import Mapping
from datetime import timedelta
from functools import partial

from adapters.services.repairs import OrderRepairs
from domain.orders.order import Order
from domain.orders.status import OrderStatus
from domain.reconciliation.finding import Action, Finding, FindingStatus, FindingType
from domain.reconciliation.policy import RepairPolicy
from domain.reconciliation.use_cases.compare_orders import CompareOrdersHandler
from domain.reconciliation.use_cases.give_back import GiveBackHandler
from domain.reconciliation.use_cases.record_differences import RecordDifferencesHandler
from domain.reconciliation.use_cases.repair_orders import RECONCILER, Redelivery, RepairOrdersHandler
from tests.support.house import House, World
from tests.support.memory import Database
from tests.support.memory_reconciliation import MemoryReconciliationUnitOfWork
from tests.support.memory_statements import MemoryOrderStatements, MemoryPaymentStatements

GRACE = timedelta(seconds=30)


async def no_events(payment_id: str) -> int:
    return 0


class Books:
    """A house, and the comparison of its books."""

    def __init__(
        self, world: World | None = None, policy: Mapping[FindingType, Action] | None = None
    ) -> None:
        self.house = House(world)
        self.orders = MemoryOrderStatements(self.house.world.orders)
        self.payments = MemoryPaymentStatements(self.house.world.payments)
        self.database = Database()
        self.unit_of_work = uow = partial(MemoryReconciliationUnitOfWork, self.database)
        clock, ids = self.house.clock, self.house.ids
        record = RecordDifferencesHandler(uow, RepairPolicy(policy or {}), clock, ids)
        self.compare = CompareOrdersHandler(self.orders, self.payments, record, uow, clock, GRACE)

    async def a_paid_order(self) -> Order:
        order = await self.house.order()
        await self.house.confirm(order.order_id)
        await self.house.deliver()
        assert self.house.saved_order(order.order_id).status is OrderStatus.PAID
        return self.house.saved_order(order.order_id)

    async def round(self) -> list[tuple[FindingType, str]]:
        """The keys of what is open after one round."""
        found = await self.compare()
        keys = {one.key for one in found.findings}
        assert keys == {one.key for one in self.findings(FindingStatus.OPEN)}
        return sorted(keys)

    def findings(self, status: FindingStatus) -> list[Finding]:
        found: list[Finding] = list(self.database.rows["finding"].values())
        return [one for one in found if one.status is status]

    def repair(self, redeliver: Redelivery | None = None) -> RepairOrdersHandler:
        clock = self.house.clock
        money = OrderRepairs(self.house.service, clock, RECONCILER)
        give_back = GiveBackHandler(self.orders, self.payments, money, self.unit_of_work, clock, RECONCILER)
        return RepairOrdersHandler(redeliver or no_events, self.orders, give_back, self.unit_of_work, clock)


def later(books: Books) -> None:
    books.house.clock.advance(seconds=GRACE.total_seconds() + 1)
