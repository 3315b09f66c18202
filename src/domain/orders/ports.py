"""What the order side needs from outside.

A unit of work is one database transaction. `add` and `save` also append what the order notes to its history,
and `save` its effects to the outbox, and lets the stock follow.
Lock order: orders by id, then stock by SKU, all that a transaction locks of each in one call.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import TracebackType
from typing import Protocol, Self

from domain.orders.attempt import Attempt
from domain.orders.effects import Effect
from domain.orders.history import Entry, Recorded
from domain.orders.messages import CustomerMessage, NotTold
from domain.orders.order import Order
from domain.orders.stock import Shelf, StockItem
from domain.orders.webhooks.ports import Deliveries, Endpoints
from domain.shared.audit import AuditLog
from domain.shared.payment_events import LastError, NextAction
from domain.shared.timeline import TimelineEntry


class OrderKept(Exception):
    """An order of this id was made before, by an earlier run of the same request."""


class Orders(Protocol):
    async def add(self, order: Order) -> None:
        """Insert a new order. Raises OrderKept, here or at the commit, where one of this id is there."""
        ...

    async def get(self, order_id: str) -> Order | None: ...

    async def lock(self, order_ids: Sequence[str]) -> dict[str, Order]:
        """Those of these orders that exist, locked until the end of the unit of work, in one order of locking."""
        ...

    async def save(self, orders: Sequence[Order]) -> None:
        """Write these orders, each one version on, with their entries of the history, effects, attempts and
        changes of stock.

        What a draft holds (lines, customer, shipping, metadata) stays as it was.
        """
        ...

    async def save_draft(self, order: Order) -> None:
        """Write everything of this draft, one version on, with its entries of the history."""
        ...

    async def take_abandoned(self, *, before: datetime, limit: int) -> Sequence[Order]:
        """Checkouts to which nothing has happened since then, locked: unpaid, without an open attempt or a
        cancellation. What others have locked is left out."""
        ...

    async def list(
        self,
        *,
        status: str | None,
        user_id: str | None,
        order_id: str | None,
        after: str | None,
        limit: int,
        with_attention: bool = False,
    ) -> Sequence[Order]:
        """Newest first; `after` is the id of the last one already seen."""
        ...


class History(Protocol):
    """What happened to orders, in the order in which it was committed."""

    async def append(self, order_id: str, entry: Entry) -> None:
        """Write an entry of something that changes nothing of the order itself; it waits for the order's lock."""
        ...

    async def of(self, order_id: str, *, after: int = 0, limit: int) -> Sequence[Recorded]:
        """The oldest entries of this order behind a position; none is ever committed before one already read."""
        ...

    async def behind(self, positions: Mapping[str, int], *, limit: int) -> Sequence[Recorded]:
        """The same of many orders, each behind its own position and at most so many; an order's in their order."""
        ...


class Stock(Protocol):
    async def get(self, sku: str) -> StockItem | None:
        """None where the SKU is untracked."""
        ...

    async def lock(self, skus: Collection[str]) -> Shelf:
        """The tracked ones of these, locked until the end of the unit of work, in one order of locking."""
        ...

    async def add(self, item: StockItem) -> bool:
        """Begin to track this SKU; False where it is tracked."""
        ...

    async def save(self, item: StockItem) -> None:
        """Write what was counted, one version on."""
        ...

    async def note_restock(
        self, refund_id: str, order_id: str, goods: Mapping[str, int], now: datetime
    ) -> bool:
        """Remember that the goods of this refund come back; False where that is remembered already."""
        ...

    async def list(self, *, after: str | None, limit: int) -> Sequence[StockItem]:
        """By SKU, in the order of code points; `after` is the last one already seen."""
        ...


class Attempts(Protocol):
    async def get(self, attempt_id: str) -> Attempt | None: ...

    async def lock(self, attempt_id: str) -> tuple[Order, Attempt] | None:
        """The attempt and its order, both locked until the end of the unit of work."""
        ...

    async def begun(self, attempt_id: str, order_id: str) -> tuple[Attempt | None, Attempt | None]:
        """What `get` and `open_of` say, in one look."""
        ...

    async def open_of(self, order_id: str) -> Attempt | None:
        """The attempt at paying this order that is not answered yet; what gives money back is no such one."""
        ...

    async def put(self, attempt: Attempt) -> None: ...

    async def take_due(self, *, now: datetime, until: datetime, limit: int) -> Sequence[Attempt]:
        """Open attempts due for a check; each is put off to `until`, so that one process at a time has it."""
        ...


class OrdersUnitOfWork(Protocol):
    """`async with` opens the transaction; leaving without `commit` undoes it."""

    @property
    def orders(self) -> Orders: ...

    @property
    def stock(self) -> Stock: ...

    @property
    def attempts(self) -> Attempts: ...

    @property
    def history(self) -> History: ...

    @property
    def endpoints(self) -> Endpoints: ...

    @property
    def deliveries(self) -> Deliveries: ...

    @property
    def audit(self) -> AuditLog: ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...

    async def commit(self) -> None: ...


UnitOfWorkFactory = Callable[[], OrdersUnitOfWork]


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentView:
    """A payment as the payment side answers it."""

    payment_id: str
    gateway_payment_intent_id: str | None
    status: str
    client_secret: str | None = field(repr=False)
    next_action: NextAction | None = None
    last_error: LastError | None = None
    operation_unknown: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundView:
    """A refund as the payment side answers it; the amount in minor units."""

    refund_id: str
    payment_id: str
    amount: int
    currency: str
    reason: str | None
    status: str
    failure_reason: str | None
    operation_unknown: bool
    created_at: datetime
    updated_at: datetime


class PaymentService(Protocol):
    """The payment side. Raises what it answers: shared Refused and Conflict (nothing was begun), Unavailable."""

    async def pay(self, order: Order, attempt: Attempt) -> PaymentView:
        """Make a payment for the order's total and confirm it where a method is given; the same at each repetition."""
        ...

    async def confirm(self, order: Order, attempt: Attempt) -> PaymentView:
        """Confirm the payment that the attempt names once more; the same at each repetition."""
        ...

    async def cancel(self, attempt: Attempt) -> PaymentView:
        """Cancel the payment that the attempt names, or void its authorization; the same at each repetition."""
        ...

    async def refund(self, attempt: Attempt) -> RefundView:
        """Give back what the attempt says of its payment, under its `refund_id`; the same at each repetition.

        A refund that the gateway refused is an answer, and an event besides.
        """
        ...


class PaymentStories(Protocol):
    async def __call__(self, order_id: str, /) -> Sequence[TimelineEntry]:
        """What the payment side has to tell of this order's payments; nothing where it has none. Raises Unavailable."""
        ...


class FindingStories(Protocol):
    async def __call__(self, order_id: str, payment_ids: Collection[str], /) -> Sequence[TimelineEntry]:
        """Where the books of this order and its payments were found to differ. Raises Unavailable."""
        ...


class CustomerNotifier(Protocol):
    async def tell(self, message: CustomerMessage) -> NotTold | None:
        """Send it, at least once with its stable id; why not, where there is no way to.

        Raises CustomerUnreachable where no repetition helps.
        """
        ...


class WarehouseNotifier(Protocol):
    """Tells the warehouse: at least once, with a key that is the same each time."""

    async def notify(self, effect: Effect, idempotency_key: str) -> None: ...
