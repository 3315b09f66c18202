"""Both services with everything outside replaced: a virtual clock, counted ids, a gateway in memory."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count
from typing import Any, NoReturn
from uuid import UUID

from adapters.cloudevents import fulfilment
from adapters.services.in_process import InProcessOrderTerms, InProcessPayments
from adapters.system.currencies import IsoCurrencies
from domain.orders.cart import OrderLine
from domain.orders.checkout import CheckedOut, Checkout
from domain.orders.effects import Effect
from domain.orders.messages import CustomerMessage, CustomerUnreachable, NotTold
from domain.orders.money_policy import BY_DEFAULT, MoneyPolicy
from domain.orders.order import Order
from domain.orders.settlement import Settlement
from domain.orders.stock import StockItem
from domain.orders.use_cases.apply_payment_events import apply_payment_events
from domain.orders.use_cases.cancel_order import CancelOrder, CancelOrderHandler
from domain.orders.use_cases.change_order import ChangeOrderHandler
from domain.orders.use_cases.confirm_order import ConfirmOrder, ConfirmOrderHandler
from domain.orders.use_cases.count_stock import CountStock, CountStockHandler
from domain.orders.use_cases.create_order import CreateOrder, CreateOrderHandler
from domain.orders.use_cases.expire_checkouts import ExpireCheckoutsHandler
from domain.orders.use_cases.explain_order import ExplainOrderHandler
from domain.orders.use_cases.fulfil_order import FulfilOrderHandler
from domain.orders.use_cases.notify_warehouse import NotifyWarehouseHandler
from domain.orders.use_cases.read_orders import GetOrderHandler, GetPaymentTermsHandler, ListOrdersHandler
from domain.orders.use_cases.read_stock import GetStockHandler
from domain.orders.use_cases.recover_attempts import RecoverAttemptsHandler
from domain.orders.use_cases.refund_order import RefundedOrder, RefundOrder, RefundOrderHandler
from domain.orders.use_cases.restock_goods import RestockGoodsHandler
from domain.orders.use_cases.retry_payment import RetryPayment, RetryPaymentHandler
from domain.orders.use_cases.tell_customer import TellCustomerHandler
from domain.payments.check_back import OrderCheck
from domain.payments.gateway import CaptureMethod, GatewayEvent
from domain.payments.operations import OperationRunner
from domain.payments.payment import Payment
from domain.payments.refund import Refund
from domain.payments.refund_desk import RefundDesk
from domain.payments.refund_policy import EVERYTHING_ALLOWED, RefundPolicy
from domain.payments.routing import Account, Gateways
from domain.payments.use_cases.backfill_ledger import BackfillLedgerHandler
from domain.payments.use_cases.cancel_payment import CancelPayment, CancelPaymentHandler
from domain.payments.use_cases.capture_payment import CapturePayment, CapturePaymentHandler
from domain.payments.use_cases.check_payments import CheckPaymentsHandler
from domain.payments.use_cases.confirm_payment import ConfirmPayment, ConfirmPaymentHandler
from domain.payments.use_cases.create_payment import CreatePayment, CreatePaymentHandler
from domain.payments.use_cases.create_refund import CreateRefund, CreateRefundHandler
from domain.payments.use_cases.decide_refund import ApproveRefundHandler, DecideRefund, RejectRefundHandler
from domain.payments.use_cases.expire_approvals import ExpireApprovalsHandler
from domain.payments.use_cases.import_balance import ImportBalanceHandler
from domain.payments.use_cases.preflight_payment import PreflightPaymentHandler
from domain.payments.use_cases.read_disputes import GetDisputeHandler, ListDisputesHandler
from domain.payments.use_cases.read_ledger import ReadLedgerHandler
from domain.payments.use_cases.read_payments import (
    GetPaymentHandler,
    GetRefundHandler,
    ListEventsHandler,
    ListPaymentsHandler,
    ListRefundsHandler,
)
from domain.payments.use_cases.read_story import ReadStoryHandler
from domain.payments.use_cases.receive_webhook import ReceiveWebhook, ReceiveWebhookHandler
from domain.payments.use_cases.recover_operations import RecoverOperationsHandler
from domain.payments.use_cases.refresh_payment import RefreshPaymentHandler
from domain.payments.use_cases.remind_of_evidence import RemindOfEvidenceHandler
from domain.payments.use_cases.replay_webhook import ReplayWebhookHandler
from domain.payments.use_cases.report_payout import ReportPayoutHandler
from domain.payments.use_cases.retry_refund import RetryRefund, RetryRefundHandler
from domain.payments.use_cases.saved_methods import DetachSavedMethodHandler, ListSavedMethodsHandler
from domain.payments.use_cases.simulate_refund import SimulateRefundHandler
from domain.payments.use_cases.update_payment import UpdatePayment, UpdatePaymentHandler
from domain.payments.use_cases.verify_ledger import VerifyLedgerHandler
from domain.payments.webhook import WebhookOutcome, WebhookSignatureInvalid
from domain.reconciliation.use_cases.tell_findings import TellFindingsHandler
from domain.shared.callers import Caller
from domain.shared.payment_events import PaymentEvent
from tests.support.fake_gateway import FakeGateway
from tests.support.memory import Database, MemoryOrdersUnitOfWork, MemoryPaymentsUnitOfWork, MemoryProgress
from tests.support.memory_reconciliation import MemoryReconciliationUnitOfWork

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
RETURN_URL = "https://shop.test/back"
SERVICE = Caller(
    subject="service",
    scopes=frozenset(
        {"orders:read", "orders:write", "payments:read", "payments:write", "refunds:create", "users:any"}
    ),
)
CUSTOMER = Caller(
    subject="u_1", scopes=frozenset({"orders:read", "orders:write", "payments:read", "payments:write"})
)
APPROVER = Caller(
    subject="boss",
    scopes=frozenset({"orders:read", "payments:read", "refunds:approve", "users:any"}),
    token_id="token",
)
OPERATOR = Caller(subject="operator", scopes=frozenset({"operations:read", "operations:write", "users:any"}))
STRANGER = Caller(subject="u_2", scopes=CUSTOMER.scopes)


@dataclass
class ManualClock:
    time: datetime = START

    def now(self) -> datetime:
        return self.time

    def advance(self, **timedelta_arguments: float) -> None:
        self.time += timedelta(**timedelta_arguments)


class CountedIds:
    """Ids in the order of their making; each is of the form that the real ones have."""

    def __init__(self) -> None:
        self._numbers = count(1)

    def request_id(self) -> str:
        return f"{next(self._numbers):026d}"

    def new(self, prefix: str) -> str:
        return f"{prefix}_{self.request_id()}"

    def event_id(self) -> UUID:
        return UUID(int=(0x7 << 76) | (0b10 << 62) | next(self._numbers))


@dataclass
class RightSignature:
    """Knows the events that a test made: an event's body is its id, and `right` its signature."""

    signature_header = "Signature"
    events: dict[bytes, GatewayEvent] = field(default_factory=dict)

    def body(self, event: GatewayEvent) -> bytes:
        self.events[event.event_id.encode()] = event
        return event.event_id.encode()

    def verify(self, body: bytes, signature: str) -> GatewayEvent:
        if signature != "right":
            raise WebhookSignatureInvalid
        return self.read(body)

    def read(self, body: bytes) -> GatewayEvent:
        return self.events[body]


@dataclass
class Notes:
    """What the warehouse was told."""

    sent: list[tuple[Effect, str]] = field(default_factory=list)

    async def notify(self, effect: Effect, idempotency_key: str) -> None:
        self.sent.append((effect, idempotency_key))


@dataclass
class Letters:
    """What customers were told; `refused` are the addresses that take nothing, `away` is a time of nothing at all."""

    sent: list[CustomerMessage] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)
    away: bool = False

    async def tell(self, message: CustomerMessage) -> NotTold | None:
        if self.away:
            raise ConnectionError("the post office is closed")
        if message.email in self.refused:
            raise CustomerUnreachable("550 no such mailbox")
        self.sent.append(message)
        return None


async def no_snapshots(_snapshot: str) -> NoReturn:
    raise AssertionError("the order side is asked")


def _unchanged(port: Any) -> Any:
    return port


@dataclass
class World:
    """What outlives a process: databases, the gateway, the clock."""

    clock: ManualClock = field(default_factory=ManualClock)
    ids: CountedIds = field(default_factory=CountedIds)
    payments: Database = field(default_factory=Database)
    orders: Database = field(default_factory=Database)
    verifier: RightSignature = field(default_factory=RightSignature)
    notes: Notes = field(default_factory=Notes)
    letters: Letters = field(default_factory=Letters)
    policy: MoneyPolicy = BY_DEFAULT
    refund_policy: RefundPolicy = EVERYTHING_ALLOWED
    findings: Database = field(default_factory=Database)
    delivered: int = 0
    """How many events of the log the order side has applied."""

    unreachable: set[str] = field(default_factory=set)
    """The accounts whose circuits are open."""

    def __post_init__(self) -> None:
        self.orders.now = self.clock.now
        self.gateway = FakeGateway(self.clock)
        self.gateway.lists.body_of = self.verifier.body
        self.accounts = [self.account(self.gateway)]

    def account(self, gateway: FakeGateway, currencies: frozenset[str] | None = None) -> Account:
        return Account(gateway, self.verifier, currencies, lambda: gateway.name not in self.unreachable)


class House:
    """The use cases of both services in a world; `decorate` wraps every port on its way in."""

    def __init__(self, world: World | None = None, decorate: Callable[[Any], Any] = _unchanged) -> None:
        self.world = world = world or World()
        self.clock, self.ids, self.gateway = world.clock, world.ids, world.gateway
        clock, ids = world.clock, world.ids

        def payments_uow() -> MemoryPaymentsUnitOfWork:
            wrapped: MemoryPaymentsUnitOfWork = decorate(MemoryPaymentsUnitOfWork(world.payments))
            return wrapped

        def orders_uow() -> MemoryOrdersUnitOfWork:
            wrapped: MemoryOrdersUnitOfWork = decorate(MemoryOrdersUnitOfWork(world.orders))
            return wrapped

        self.payments_uow, self.orders_uow = payments_uow, orders_uow
        self.get_order = GetOrderHandler(orders_uow)
        self.list_orders = ListOrdersHandler(orders_uow)
        self.get_terms = GetPaymentTermsHandler(self.get_order)
        accounts = [replace(account, gateway=decorate(account.gateway)) for account in world.accounts]
        gateways = self.gateways = Gateways(accounts)
        self.runner = OperationRunner(payments_uow, gateways, clock, ids)
        desk = RefundDesk(world.refund_policy, gateways, clock)
        terms = OrderCheck(InProcessOrderTerms(self.get_terms), no_snapshots)
        self.create_payment = CreatePaymentHandler(payments_uow, gateways, terms, self.runner, clock)
        self.preflight_payment = PreflightPaymentHandler(self.create_payment)
        self.update_payment = UpdatePaymentHandler(payments_uow, gateways, terms, self.runner, clock)
        self.confirm_payment = ConfirmPaymentHandler(payments_uow, gateways, self.runner, clock)
        self.capture_payment = CapturePaymentHandler(payments_uow, gateways, self.runner, clock)
        self.cancel_payment = CancelPaymentHandler(payments_uow, gateways, self.runner, clock)
        self.create_refund = CreateRefundHandler(payments_uow, desk, self.runner)
        self.simulate_refund = SimulateRefundHandler(payments_uow, desk)
        self.approve_refund = ApproveRefundHandler(payments_uow, desk, self.runner)
        self.reject_refund = RejectRefundHandler(payments_uow, desk, ids)
        self.retry_refund = RetryRefundHandler(payments_uow, desk, self.runner)
        self.expire_approvals = ExpireApprovalsHandler(payments_uow, world.refund_policy, clock, ids)
        self.list_refunds = ListRefundsHandler(payments_uow)
        self.get_payment = GetPaymentHandler(payments_uow)
        self.list_payments = ListPaymentsHandler(payments_uow)
        self.list_saved_methods = ListSavedMethodsHandler(payments_uow, gateways)
        self.detach_saved_method = DetachSavedMethodHandler(payments_uow, gateways)
        self.get_refund = GetRefundHandler(payments_uow)
        self.list_disputes = ListDisputesHandler(payments_uow)
        self.get_dispute = GetDisputeHandler(payments_uow)
        self.remind_of_evidence = RemindOfEvidenceHandler(payments_uow, clock, ids)
        self.list_events = ListEventsHandler(payments_uow)
        self.receive_webhook = ReceiveWebhookHandler(payments_uow, gateways, clock, ids)
        self.replay_webhook = ReplayWebhookHandler(self.receive_webhook)
        self.recover_operations = RecoverOperationsHandler(
            payments_uow, self.runner, self.receive_webhook, clock
        )
        self.refresh_payment = RefreshPaymentHandler(payments_uow, gateways, clock, ids)
        self.check_payments = CheckPaymentsHandler(payments_uow, gateways, clock, ids, timedelta(hours=24))
        self.import_balance = ImportBalanceHandler(payments_uow, gateways, clock, ids)
        self.read_ledger = ReadLedgerHandler(payments_uow)
        self.verify_ledger = VerifyLedgerHandler(payments_uow, gateways)
        self.report_payout = ReportPayoutHandler(payments_uow, gateways)
        self.backfill_ledger = BackfillLedgerHandler(payments_uow, clock, ids)
        self.service = service = InProcessPayments(
            self.create_payment, self.confirm_payment, self.cancel_payment, self.create_refund, RETURN_URL
        )
        settlement = Settlement(orders_uow, service, clock)
        checkout = Checkout(orders_uow, service, clock)
        self.create_order = CreateOrderHandler(orders_uow, clock)
        self.change_order = ChangeOrderHandler(orders_uow, clock)
        self.confirm_order = ConfirmOrderHandler(orders_uow, checkout, clock)
        self.retry_payment = RetryPaymentHandler(orders_uow, checkout, clock)
        self.fulfil_order = FulfilOrderHandler(orders_uow, clock)
        self.count_stock = CountStockHandler(orders_uow, clock)
        self.restock_goods = RestockGoodsHandler(orders_uow, clock)
        self.get_stock = GetStockHandler(orders_uow)
        self.notify_warehouse = NotifyWarehouseHandler(
            orders_uow, world.notes, partial(fulfilment.encode, traceparent=lambda: None), clock, world.ids
        )
        self.tell_customer = TellCustomerHandler(orders_uow, decorate(world.letters))
        self.read_story = ReadStoryHandler(payments_uow, IsoCurrencies())
        self.explain_order = ExplainOrderHandler(
            orders_uow,
            self.get_order,
            self.read_story,
            MemoryProgress(world.orders),
            TellFindingsHandler([partial(MemoryReconciliationUnitOfWork, world.findings)]),
        )
        self.recover_attempts = RecoverAttemptsHandler(orders_uow, checkout, settlement, clock)
        self.cancel_order = CancelOrderHandler(orders_uow, settlement, clock)
        self.refund_order = RefundOrderHandler(orders_uow, settlement, clock)
        self.expire_checkouts = ExpireCheckoutsHandler(orders_uow, clock, ids, timedelta(hours=1))

    # Requests, with the values that most tests want

    async def order(self, amount: int = 1000, *, request_id: str | None = None, **changes: Any) -> Order:
        line = OrderLine(sku="OAK", name="Oak board", quantity=1, unit_amount=amount)
        fields: dict[str, Any] = {"caller": CUSTOMER, "currency": "EUR", "lines": (line,), **changes}
        return await self.create_order(CreateOrder(request_id=request_id or self.ids.request_id(), **fields))

    async def count(self, sku: str, on_hand: int) -> None:
        await self.count_stock(CountStock(caller=OPERATOR, sku=sku, on_hand=on_hand))

    def stock(self, sku: str) -> tuple[int, int]:
        """How many there are of a tracked SKU, and how many of these orders hold."""
        saved: StockItem = self.world.orders.rows["stock"][sku]
        return saved.on_hand, saved.reserved

    async def confirm(
        self,
        order_id: str,
        token: str | None = "pm_card_visa",
        *,
        request_id: str | None = None,
        **changes: Any,
    ) -> CheckedOut:
        fields: dict[str, Any] = {"caller": CUSTOMER, "payment_method_token": token, **changes}
        request_id = request_id or self.ids.request_id()
        return await self.confirm_order(ConfirmOrder(request_id=request_id, order_id=order_id, **fields))

    async def retry(
        self,
        order_id: str,
        token: str | None = "pm_card_visa",
        *,
        request_id: str | None = None,
        **changes: Any,
    ) -> CheckedOut:
        fields: dict[str, Any] = {"caller": CUSTOMER, "payment_method_token": token, **changes}
        request_id = request_id or self.ids.request_id()
        return await self.retry_payment(RetryPayment(request_id=request_id, order_id=order_id, **fields))

    async def refund_by_order(
        self, order_id: str, *, request_id: str | None = None, **changes: Any
    ) -> RefundedOrder:
        fields: dict[str, Any] = {"caller": SERVICE, "reason": "arrived broken", **changes}
        request_id = request_id or self.ids.request_id()
        return await self.refund_order(RefundOrder(request_id=request_id, order_id=order_id, **fields))

    async def call_off(self, order_id: str, *, request_id: str | None = None, **changes: Any) -> Order:
        fields: dict[str, Any] = {"caller": CUSTOMER, "reason": "changed their mind", **changes}
        request_id = request_id or self.ids.request_id()
        return await self.cancel_order(CancelOrder(request_id=request_id, order_id=order_id, **fields))

    async def pay(
        self,
        order: Order,
        token: str | None = "pm_card_visa",
        *,
        request_id: str | None = None,
        **changes: Any,
    ) -> Payment:
        fields: dict[str, Any] = {
            "caller": CUSTOMER,
            "order_id": order.order_id,
            "amount": order.total_amount,
            "currency": order.currency,
            "confirm": True,
            "return_url": RETURN_URL,
            "payment_method_token": token,
            **changes,
        }
        return await self.create_payment(
            CreatePayment(request_id=request_id or self.ids.request_id(), **fields)
        )

    async def paid(self, amount: int = 1000, token: str = "pm_card_visa") -> Payment:
        return await self.pay(await self.order(amount), token)

    async def authorized(self, amount: int = 1000) -> Payment:
        return await self.pay(await self.order(amount), capture_method=CaptureMethod.MANUAL)

    async def authorized_later(self, amount: int = 1000) -> Payment:
        """A payment by manual capture that nobody has confirmed yet."""
        order = await self.order(amount)
        return await self.pay(order, None, confirm=False, capture_method=CaptureMethod.MANUAL)

    async def change(
        self,
        payment: Payment,
        amount: int,
        *,
        asked: int | None = None,
        request_id: str | None = None,
        **changes: Any,
    ) -> Payment:
        """The order's first line costs something else, and the payment follows, or asks for another amount."""
        order = self.saved_order(payment.order_id)
        line = replace(order.lines[0], unit_amount=amount)
        self.world.orders.rows["order"][order.order_id] = replace(order, lines=(line,))
        fields: dict[str, Any] = {"caller": CUSTOMER, "payment_id": payment.payment_id, **changes}
        request_id = request_id or self.ids.request_id()
        return await self.update_payment(
            UpdatePayment(request_id=request_id, amount=asked or amount, **fields)
        )

    async def confirm_again(
        self,
        payment: Payment,
        token: str | None = "pm_card_visa",
        *,
        request_id: str | None = None,
        **changes: Any,
    ) -> Payment:
        fields: dict[str, Any] = {
            "caller": CUSTOMER,
            "payment_id": payment.payment_id,
            "return_url": RETURN_URL,
            "payment_method_token": token,
            **changes,
        }
        return await self.confirm_payment(
            ConfirmPayment(request_id=request_id or self.ids.request_id(), **fields)
        )

    async def capture(
        self, payment: Payment, amount: int | None = None, *, request_id: str | None = None, **changes: Any
    ) -> Payment:
        fields: dict[str, Any] = {"caller": SERVICE, "payment_id": payment.payment_id, **changes}
        return await self.capture_payment(
            CapturePayment(request_id=request_id or self.ids.request_id(), amount=amount, **fields)
        )

    async def cancel(self, payment: Payment, *, request_id: str | None = None, **changes: Any) -> Payment:
        fields: dict[str, Any] = {"caller": CUSTOMER, "payment_id": payment.payment_id, **changes}
        return await self.cancel_payment(
            CancelPayment(request_id=request_id or self.ids.request_id(), **fields)
        )

    async def refund(
        self, payment: Payment, amount: int, *, request_id: str | None = None, **changes: Any
    ) -> Refund:
        fields: dict[str, Any] = {
            "caller": SERVICE,
            "payment_id": payment.payment_id,
            "currency": payment.currency,
            "reason": "arrived broken",
            **changes,
        }
        return await self.create_refund(
            CreateRefund(request_id=request_id or self.ids.request_id(), amount=amount, **fields)
        )

    async def approve(self, refund: Refund, *, request_id: str | None = None, **changes: Any) -> Refund:
        return await self.approve_refund(self._decision(refund, request_id, changes))

    async def reject(self, refund: Refund, *, request_id: str | None = None, **changes: Any) -> Refund:
        return await self.reject_refund(self._decision(refund, request_id, changes))

    def _decision(self, refund: Refund, request_id: str | None, changes: dict[str, Any]) -> DecideRefund:
        """By an approver with a token of its own each time."""
        request_id = request_id or self.ids.request_id()
        caller = replace(APPROVER, token_id=f"token-{request_id}")
        fields: dict[str, Any] = {"caller": caller, "comment": "looked at it", **changes}
        return DecideRefund(request_id=request_id, refund_id=refund.refund_id, **fields)

    async def refund_again(self, refund: Refund, *, request_id: str | None = None, **changes: Any) -> Refund:
        fields: dict[str, Any] = {"caller": SERVICE, **changes}
        request_id = request_id or self.ids.request_id()
        return await self.retry_refund(
            RetryRefund(request_id=request_id, refund_id=refund.refund_id, **fields)
        )

    # The outside

    async def webhook(self, event: GatewayEvent, account: str | None = None) -> WebhookOutcome:
        body = self.world.verifier.body(event)
        receipt = await self.receive_webhook(ReceiveWebhook(account or self.gateway.name, body, "right"))
        return receipt.outcome

    async def deliver(self) -> None:
        """Let the order side apply what it has not yet seen of the log, each event once and in order."""
        fresh = self.world.payments.log[self.world.delivered :]
        await self.apply(fresh)
        self.world.delivered += len(fresh)

    async def apply(self, events: Sequence[PaymentEvent]) -> None:
        """Let the order side apply these, as a batch of the inbox."""
        async with self.orders_uow() as uow:
            await apply_payment_events(uow.orders, uow.stock, events, policy=self.world.policy)
            await uow.commit()

    async def recover(self) -> None:
        """Let time pass and recovery run until nothing is due any more; then deliver."""
        for _ in range(6):
            self.clock.advance(minutes=16)
            await self.recover_operations()
            await self.recover_attempts()
        await self.deliver()

    # What is committed

    def log(self, payment_id: str | None = None) -> Sequence[PaymentEvent]:
        return [event for event in self.world.payments.log if payment_id in (None, event.payment_id)]

    def payment(self, payment_id: str) -> Payment:
        saved: Payment = self.world.payments.rows["payment"][payment_id]
        return saved

    def saved_order(self, order_id: str) -> Order:
        saved: Order = self.world.orders.rows["order"][order_id]
        return saved


def types(events: Sequence[PaymentEvent]) -> list[str]:
    return [event.type for event in events]


async def all_of(*calls: Any) -> list[Any]:
    """Results and errors of calls made at the same time."""
    return list(await asyncio.gather(*calls, return_exceptions=True))
