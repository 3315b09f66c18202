"""What the benchmarks work on: confirmed orders, and the events that say they are paid."""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime

from sqlalchemy import insert, text
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.cloudevents import payment_events
from adapters.postgres import tables
from adapters.postgres.orders import row_of
from adapters.system.ids import SystemIds
from domain.orders.cart import Address, Customer, OrderLine
from domain.orders.order import Order
from domain.orders.order_payment import OrderPayment
from domain.orders.status import OrderStatus
from domain.shared.payment_events import CardMethod, PaymentAuthorized, PaymentEvent, PaymentSucceeded
from outbox import Event, Outbox

AT_ONCE = 1_000
NOW = datetime(2026, 1, 1, tzinfo=UTC)
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
LINES = (
    OrderLine(sku="OAK-120", name="Oak board, 120 cm", quantity=2, unit_amount=2490, tax_amount=946),
    OrderLine(sku="OIL-1", name="Hard wax oil", quantity=1, unit_amount=1890, tax_amount=359),
)
ADDRESS = Address(line1="1 Main Street", city="Berlin", postal_code="10115", country="DE")
CUSTOMER = Customer(
    name="Ada Doe", email="ada@example.com", billing_address=ADDRESS, shipping_address=ADDRESS
)


def an_order(ids: SystemIds) -> Order:
    """Confirmed, with its payment begun: as it stands when the payment's first event comes."""
    payment = OrderPayment(
        payment_id=ids.new("pay"), gateway_payment_intent_id=ids.new("pi"), status="REQUIRES_CONFIRMATION"
    )
    return Order(
        order_id=ids.new("ord"),
        user_id="u_1",
        currency="EUR",
        lines=LINES,
        customer=CUSTOMER,
        created_at=NOW,
        updated_at=NOW,
        status=OrderStatus.PENDING_PAYMENT,
        payments=[payment],
    )


async def make_orders(engine: AsyncEngine, count: int) -> list[Order]:
    ids = SystemIds()
    orders = [an_order(ids) for _ in range(count)]
    async with engine.begin() as connection:
        for some in _parts(orders):
            await connection.execute(insert(tables.orders), [row_of(order) for order in some])
    async with engine.connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        await connection.execute(text("VACUUM ANALYZE orders.orders"))
    return orders


def paid(order: Order, ids: SystemIds) -> Event:
    """The only event of the order's payment: each event here moves an order of its own. It asks for two effects."""
    return _only_event(PaymentSucceeded, order, ids)


def authorized(order: Order, ids: SystemIds) -> Event:
    """As `paid`, of a payment that is captured later: its order moves, and nothing else is asked for."""
    return _only_event(PaymentAuthorized, order, ids)


def _only_event(kind: type[PaymentEvent], order: Order, ids: SystemIds) -> Event:
    (payment,) = order.payments
    event = kind(
        event_id=ids.event_id(),
        sequence=1,
        occurred_at=NOW,
        payment_id=payment.payment_id,
        order_id=order.order_id,
        gateway_payment_intent_id=payment.gateway_payment_intent_id,
        currency=order.currency,
        amount=order.total_amount,
        amount_captured=order.total_amount if kind is PaymentSucceeded else 0,
        amount_refunded=0,
        method=CardMethod("visa", "4242"),
    )
    return payment_events.encode(event, lambda: TRACEPARENT)


EventOf = Callable[[Order, SystemIds], Event]


async def append_all(
    engine: AsyncEngine, outbox: Outbox, orders: Sequence[Order], event_of: EventOf = paid
) -> None:
    """One event of each order into the log."""
    ids = SystemIds()
    for some in _parts(orders):
        async with engine.begin() as connection:
            await outbox.append(connection, [event_of(order, ids) for order in some])


def _parts(orders: Sequence[Order]) -> Iterator[Sequence[Order]]:
    return (orders[first : first + AT_ONCE] for first in range(0, len(orders), AT_ONCE))
