"""Both logs in a database with the application's schema, and orders that follow their payments in it."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from adapters.cloudevents import order_effects, payment_events
from adapters.postgres.engine import make_engine
from adapters.postgres.orders import PostgresOrders
from adapters.postgres.stock import PostgresStock
from adapters.postgres.transaction import Transaction
from adapters.system.ids import SystemIds
from domain.orders.cart import OrderLine
from domain.orders.effects import Effect
from domain.orders.history import Entry, EntryKind
from domain.orders.money_policy import BY_DEFAULT, MoneyPolicy
from domain.orders.order import Order
from domain.orders.use_cases.apply_payment_events import apply_payment_events
from domain.shared.payment_events import PaymentEvent
from outbox import Event, OrderedInbox, Outbox, RetryPolicy, UnorderedInbox
from tests.support.events import full_event
from tests.support.vault import VAULT

ids = SystemIds()


@dataclass
class Shop:
    """The order side without the rest of the application, as far as events matter."""

    engine: AsyncEngine
    refuses: set[str] = field(default_factory=set)
    """Streams whose events cannot be applied."""
    is_closed: bool = False
    """Whether effects fail."""
    policy: MoneyPolicy = BY_DEFAULT

    def __post_init__(self) -> None:
        retry = RetryPolicy(attempts=1, first_seconds=0.0)
        self.payments, self.log = Outbox("payments"), Outbox("orders")
        self.orders = OrderedInbox("orders", "orders", self._apply, retry=retry)
        self.effects = UnorderedInbox("orders", "warehouse", self._carry_out, retry=retry)

    def _orders(self, connection: AsyncConnection) -> PostgresOrders:
        return PostgresOrders(Transaction.within(connection), self.log, self._encode)

    def _encode(self, effect: Effect) -> Event:
        return order_effects.encode(effect, ids.event_id, lambda: None)

    async def _apply(self, connection: AsyncConnection, events: Sequence[Event], /) -> None:
        for event in events:
            if event.stream in self.refuses:
                raise RuntimeError(f"cannot apply {event.id}")
        decoded = [payment_events.decode(event) for event in events]
        await apply_payment_events(
            self._orders(connection),
            PostgresStock(Transaction.within(connection)),
            decoded,
            policy=self.policy,
        )

    async def _carry_out(self, event: Event, /) -> None:
        if self.is_closed:
            raise ConnectionError("the warehouse is closed")

    async def confirm(self, number: int) -> str:
        """An order whose payment is `pay_<number>`."""
        now = datetime.now(UTC)
        order = Order(
            order_id=f"ord_{number}",
            user_id="u_1",
            currency="EUR",
            lines=(OrderLine(sku="TEA", name="Tea", quantity=1, unit_amount=1000),),
            created_at=now,
            updated_at=now,
        )
        order.confirm(now)
        order.note(Entry(kind=EntryKind.REQUEST, name="confirm"))
        async with self.engine.begin() as connection:
            await self._orders(connection).add(order)
        return f"pay_{number}"

    async def append(
        self, number: int, *kinds: type[PaymentEvent], first: int = 1, **changes: Any
    ) -> list[Event]:
        """The next events of this order's payment, committed to the log."""
        encoded = [
            payment_events.encode(
                full_event(
                    kind,
                    sequence,
                    **{
                        "payment_id": f"pay_{number}",
                        "order_id": f"ord_{number}",
                        "occurred_at": datetime.now(UTC),
                        **changes,
                    },
                ),
                lambda: None,
            )
            for sequence, kind in enumerate(kinds, start=first)
        ]
        async with self.engine.begin() as connection:
            await self.payments.append(connection, encoded)
        return encoded

    async def status_of(self, number: int) -> str:
        async with self.engine.connect() as connection:
            status = await connection.scalar(
                text("SELECT status FROM orders.orders WHERE order_id = :id"), {"id": f"ord_{number}"}
            )
        return str(status)


@pytest.fixture
async def shop(database_url: str) -> AsyncIterator[Shop]:
    engine = make_engine(database_url, pool_size=5, application="test", vault=VAULT)
    yield Shop(engine)
    await engine.dispose()
