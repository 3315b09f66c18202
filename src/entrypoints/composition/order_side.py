"""The order service, made and joined."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from adapters.cloudevents import fulfilment, order_effects
from adapters.postgres.idempotency import PostgresIdempotencyStore
from adapters.postgres.orders import PostgresOrdersUnitOfWork
from adapters.system.currencies import IsoCurrencies
from domain.orders.checkout import Checkout
from domain.orders.money_policy import MoneyPolicy
from domain.orders.ports import PaymentService, PaymentStories, UnitOfWorkFactory
from domain.orders.settlement import Settlement
from domain.orders.use_cases.acknowledge_attention import AcknowledgeAttentionHandler
from domain.orders.use_cases.cancel_order import CancelOrderHandler
from domain.orders.use_cases.change_order import ChangeOrderHandler
from domain.orders.use_cases.confirm_order import ConfirmOrderHandler
from domain.orders.use_cases.count_stock import CountStockHandler
from domain.orders.use_cases.create_order import CreateOrderHandler
from domain.orders.use_cases.expire_checkouts import ExpireCheckoutsHandler
from domain.orders.use_cases.explain_order import ExplainOrderHandler
from domain.orders.use_cases.fulfil_order import FulfilOrderHandler
from domain.orders.use_cases.notify_warehouse import NotifyWarehouseHandler
from domain.orders.use_cases.read_orders import GetOrderHandler, GetPaymentTermsHandler, ListOrdersHandler
from domain.orders.use_cases.read_stock import GetStockHandler, ListStockHandler
from domain.orders.use_cases.recover_attempts import RecoverAttemptsHandler
from domain.orders.use_cases.refund_order import RefundOrderHandler
from domain.orders.use_cases.restock_goods import RestockGoodsHandler
from domain.orders.use_cases.retry_payment import RetryPaymentHandler
from domain.orders.use_cases.tell_customer import TellCustomerHandler
from domain.reconciliation.ports import UnitOfWorkFactory as FindingsFactory
from domain.reconciliation.use_cases.tell_findings import TellFindingsHandler
from domain.shared.idempotency import IdempotencyStore
from entrypoints.composition.outside import Outside
from entrypoints.mail import build_customer_notifier
from entrypoints.operating.progress import progress_of
from entrypoints.outgoing_webhooks import OutgoingWebhooks, build_outgoing_webhooks
from entrypoints.settings import Settings
from entrypoints.traces import current_traceparent
from entrypoints.worker.subscriptions import ORDERS
from outbox import Consumer, Event, Follower, OrderedInbox, Outbox, Waker


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderSide:
    engine: AsyncEngine
    outbox: Outbox
    waker: Waker
    unit_of_work: UnitOfWorkFactory
    idempotency: IdempotencyStore
    create_order: CreateOrderHandler
    change_order: ChangeOrderHandler
    get_order: GetOrderHandler
    list_orders: ListOrdersHandler
    confirm_order: ConfirmOrderHandler
    retry_payment: RetryPaymentHandler
    fulfil_order: FulfilOrderHandler
    acknowledge_attention: AcknowledgeAttentionHandler
    explain_order: ExplainOrderHandler
    get_payment_terms: GetPaymentTermsHandler
    recover_attempts: RecoverAttemptsHandler
    count_stock: CountStockHandler
    get_stock: GetStockHandler
    list_stock: ListStockHandler
    restock_goods: RestockGoodsHandler
    tell_customer: TellCustomerHandler
    notify_warehouse: NotifyWarehouseHandler
    cancel_order: CancelOrderHandler
    refund_order: RefundOrderHandler
    expire_checkouts: ExpireCheckoutsHandler
    money_policy: MoneyPolicy
    webhooks: OutgoingWebhooks
    """Those that we send."""
    consumers: Mapping[str, Follower]
    """Who follows the payments' log here, by name, as the payment side asks them what they have."""


@dataclass(frozen=True, slots=True)
class OrdersUnitOfWorkParts:
    engine: AsyncEngine
    outbox: Outbox
    waker: Waker
    factory: Callable[[], PostgresOrdersUnitOfWork]


def orders_unit_of_work(engine: AsyncEngine, outside: Outside) -> OrdersUnitOfWorkParts:
    outbox = Outbox("orders")
    waker = Waker(engine, outbox)
    factory = partial(
        PostgresOrdersUnitOfWork,
        engine,
        outbox,
        partial(order_effects.encode, event_id=outside.ids.event_id, traceparent=current_traceparent),
        waker.wake,
    )
    return OrdersUnitOfWorkParts(engine, outbox, waker, factory)


def build_orders(
    settings: Settings,
    outside: Outside,
    parts: OrdersUnitOfWorkParts,
    service: PaymentService,
    stories: PaymentStories,
    findings: Sequence[FindingsFactory],
) -> OrderSide:
    uow, clock = parts.factory, outside.clock
    customers = outside.customers or build_customer_notifier(settings, IsoCurrencies(), clock)
    terms = GetPaymentTermsHandler(GetOrderHandler(uow))
    checkout, settlement = Checkout(uow, service, clock), Settlement(uow, service, clock)
    return OrderSide(
        engine=parts.engine,
        outbox=parts.outbox,
        waker=parts.waker,
        unit_of_work=uow,
        idempotency=PostgresIdempotencyStore(parts.engine, "orders"),
        create_order=CreateOrderHandler(uow, clock),
        change_order=ChangeOrderHandler(uow, clock),
        get_order=terms.get_order,
        list_orders=ListOrdersHandler(uow),
        confirm_order=ConfirmOrderHandler(uow, checkout, clock),
        retry_payment=RetryPaymentHandler(uow, checkout, clock),
        fulfil_order=FulfilOrderHandler(uow, clock),
        acknowledge_attention=AcknowledgeAttentionHandler(uow, clock),
        explain_order=ExplainOrderHandler(
            uow,
            terms.get_order,
            stories,
            progress_of(parts.engine),
            TellFindingsHandler(findings),
        ),
        get_payment_terms=terms,
        count_stock=CountStockHandler(uow, clock),
        get_stock=GetStockHandler(uow),
        list_stock=ListStockHandler(uow),
        restock_goods=RestockGoodsHandler(uow, clock),
        tell_customer=TellCustomerHandler(uow, customers),
        recover_attempts=RecoverAttemptsHandler(uow, checkout, settlement, clock),
        cancel_order=CancelOrderHandler(uow, settlement, clock),
        refund_order=RefundOrderHandler(uow, settlement, clock),
        expire_checkouts=ExpireCheckoutsHandler(
            uow, clock, outside.ids, timedelta(minutes=settings.checkout_minutes)
        ),
        money_policy=settings.money_policy(),
        consumers={
            ORDERS.consumer: Consumer(
                parts.engine,
                OrderedInbox(parts.outbox.schema, ORDERS.consumer, _apply_nothing),
                ORDERS.topic,
            )
        },
        notify_warehouse=NotifyWarehouseHandler(
            uow,
            outside.warehouse,
            partial(fulfilment.encode, traceparent=current_traceparent),
            clock,
            outside.ids,
        ),
        webhooks=build_outgoing_webhooks(settings, uow, clock, outside.ids, outside.webhook_sender),
    )


async def _apply_nothing(_connection: AsyncConnection, _events: Sequence[Event], /) -> None:
    raise RuntimeError("events are applied by workers")
