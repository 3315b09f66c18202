"""The one composition root: every object of the application is made and joined here.

Anything outside the process may be replaced by a fake: `Outside` names those things.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any

from dramatiq import Broker
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.circuit_breaker.circuit import Circuit
from adapters.cloudevents import fulfilment, order_effects, payment_events
from adapters.dramatiq.broker import UnknownBroker, make_broker
from adapters.dramatiq.readiness import check_broker
from adapters.notifications.log import LogWarehouseNotifier
from adapters.postgres.engine import make_engine
from adapters.postgres.idempotency import PostgresIdempotencyStore
from adapters.postgres.orders import PostgresOrdersUnitOfWork
from adapters.postgres.payments import PostgresPaymentsUnitOfWork
from adapters.postgres.readiness import check_database
from adapters.rate_limits.limiter import RateLimiter
from adapters.rate_limits.valkey import ValkeyCounts
from adapters.security.issuers import IssuedTokens
from adapters.security.keys import KeyFile, KeySource, read_public_keys
from adapters.security.snapshots import ORDER_TERMS, SnapshotSigner
from adapters.security.tokens import JwtIssuer, JwtVerifier, TokenProfile
from adapters.services.in_process import InProcessOrderTerms, InProcessPayments
from adapters.system.clock import SystemClock
from adapters.system.currencies import IsoCurrencies
from adapters.system.ids import SystemIds
from domain.orders.checkout import Checkout
from domain.orders.history import Recorded
from domain.orders.money_policy import MoneyPolicy
from domain.orders.ports import CustomerNotifier, WarehouseNotifier
from domain.orders.settlement import Settlement
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
from domain.orders.webhooks.ports import WebhookSender
from domain.payments.gateway import PaymentGateway
from domain.payments.operations import OperationRunner
from domain.payments.routing import Gateways
from domain.payments.use_cases.cancel_payment import CancelPaymentHandler
from domain.payments.use_cases.capture_payment import CapturePaymentHandler
from domain.payments.use_cases.check_payments import CheckPaymentsHandler
from domain.payments.use_cases.confirm_payment import ConfirmPaymentHandler
from domain.payments.use_cases.create_payment import CreatePaymentHandler
from domain.payments.use_cases.create_refund import CreateRefundHandler
from domain.payments.use_cases.forget_webhooks import ForgetWebhooksHandler
from domain.payments.use_cases.preflight_payment import PreflightPaymentHandler
from domain.payments.use_cases.read_disputes import GetDisputeHandler, ListDisputesHandler
from domain.payments.use_cases.read_payments import (
    CountAttentionsHandler,
    GetPaymentHandler,
    GetRefundHandler,
    ListEventsHandler,
    ListPaymentsHandler,
)
from domain.payments.use_cases.read_story import ReadStoryHandler
from domain.payments.use_cases.receive_webhook import ReceiveWebhookHandler
from domain.payments.use_cases.recover_operations import RecoverOperationsHandler
from domain.payments.use_cases.refresh_payment import RefreshPaymentHandler
from domain.payments.use_cases.remind_of_evidence import RemindOfEvidenceHandler
from domain.payments.use_cases.saved_methods import DetachSavedMethodHandler, ListSavedMethodsHandler
from domain.payments.use_cases.update_payment import UpdatePaymentHandler
from domain.shared.callers import TokenIssuer
from domain.shared.idempotency import IdempotencyStore
from domain.shared.money import Currencies
from domain.shared.system import Clock
from entrypoints.gateways import build_gateways
from entrypoints.mail import build_customer_notifier
from entrypoints.operating.progress import progress_of
from entrypoints.outgoing_webhooks import OutgoingWebhooks, build_outgoing_webhooks
from entrypoints.settings import PREFIX, Settings, SettingsInvalid
from entrypoints.streams import OrderStreams
from entrypoints.traces import current_traceparent
from outbox import Outbox, Waker

Check = Callable[[], Awaitable[None]]
"""Raises where what it looks at cannot be used now; the error says why."""


@dataclass(slots=True, kw_only=True)
class Outside:
    """What is outside the process; a test replaces what it likes."""

    clock: Clock = field(default_factory=SystemClock)
    ids: SystemIds = field(default_factory=SystemIds)
    gateway: PaymentGateway | None = None
    """Stands in for the gateway of the first account."""
    customers: CustomerNotifier | None = None
    """Stands in for what the settings say."""
    warehouse: WarehouseNotifier = field(default_factory=LogWarehouseNotifier)
    webhook_sender: WebhookSender | None = None
    """Sends our webhooks instead of the real one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderSide:
    engine: AsyncEngine
    outbox: Outbox
    waker: Waker
    idempotency: IdempotencyStore
    create_order: CreateOrderHandler
    change_order: ChangeOrderHandler
    get_order: GetOrderHandler
    list_orders: ListOrdersHandler
    confirm_order: ConfirmOrderHandler
    retry_payment: RetryPaymentHandler
    fulfil_order: FulfilOrderHandler
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


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentSide:
    engine: AsyncEngine
    outbox: Outbox
    waker: Waker
    gateways: Gateways
    circuits: Mapping[str, Circuit]
    idempotency: IdempotencyStore
    create_payment: CreatePaymentHandler
    update_payment: UpdatePaymentHandler
    confirm_payment: ConfirmPaymentHandler
    capture_payment: CapturePaymentHandler
    cancel_payment: CancelPaymentHandler
    get_payment: GetPaymentHandler
    list_payments: ListPaymentsHandler
    preflight_payment: PreflightPaymentHandler
    list_saved_methods: ListSavedMethodsHandler
    detach_saved_method: DetachSavedMethodHandler
    count_attentions: CountAttentionsHandler
    create_refund: CreateRefundHandler
    get_refund: GetRefundHandler
    list_disputes: ListDisputesHandler
    get_dispute: GetDisputeHandler
    remind_of_evidence: RemindOfEvidenceHandler
    receive_webhook: ReceiveWebhookHandler
    forget_webhooks: ForgetWebhooksHandler
    list_events: ListEventsHandler
    read_story: ReadStoryHandler
    recover_operations: RecoverOperationsHandler
    refresh_payment: RefreshPaymentHandler
    check_payments: CheckPaymentsHandler


@dataclass(slots=True, kw_only=True)
class Container:
    """The application, wired. `start` and `stop` bracket its use, in one event loop."""

    settings: Settings
    clock: Clock
    ids: SystemIds
    currencies: Currencies
    token_verifier: IssuedTokens
    token_issuer: TokenIssuer
    sign_order_terms: SnapshotSigner
    public_jwks: Callable[[], Mapping[str, Any]]
    rate_limiter: RateLimiter
    orders: OrderSide
    payments: PaymentSide
    streams: OrderStreams
    checks: Mapping[str, Check]
    _broker: Broker
    _stopping: asyncio.Event = field(default_factory=asyncio.Event)
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)

    async def start(self) -> None:
        for side in (self.orders, self.payments):
            self._tasks.append(asyncio.create_task(side.waker.run(self._stopping)))
        self._tasks.append(asyncio.create_task(self.rate_limiter.run(self._stopping)))
        self._tasks.append(asyncio.create_task(self.streams.run(self._stopping)))

    async def stop(self) -> None:
        """End streams, wake relays a last time, then close every connection."""
        self._stopping.set()
        await asyncio.gather(*self._tasks)
        for account in self.payments.gateways.accounts:
            await account.gateway.aclose()
        await self.rate_limiter.close()
        await self.token_verifier.close()
        await self.orders.webhooks.aclose()
        self._broker.close()
        await self.orders.engine.dispose()
        await self.payments.engine.dispose()


def make_broker_of(settings: Settings) -> Broker:
    """Dramatiq's broker; nothing is connected before its first use. Raises SettingsInvalid."""
    settings.require_broker()
    try:
        return make_broker(settings.broker_url.reveal())
    except UnknownBroker as error:
        raise SettingsInvalid(f"{PREFIX}BROKER_URL is not to be used here: {error}.") from error


def build_container(settings: Settings, outside: Outside | None = None) -> Container:
    """Make the application of these settings; nothing is connected before `start` or the first use."""
    outside = outside or Outside()
    settings.require("database_url")
    broker = make_broker_of(settings)
    keys = KeyFile(settings.signing_key_file)
    order_engine = make_engine(
        settings.orders_database_url.reveal(),
        pool_size=settings.database_pool_size,
        application="payonce-orders",
        pooled=settings.database_pooler == "transaction",
    )
    payment_engine = make_engine(
        settings.payments_database_url.reveal(),
        pool_size=settings.database_pool_size,
        application="payonce-payments",
        pooled=settings.database_pooler == "transaction",
    )
    orders_uow = _orders_unit_of_work(order_engine, outside)
    terms = GetPaymentTermsHandler(GetOrderHandler(orders_uow.factory))
    payments = _build_payments(settings, outside, payment_engine, InProcessOrderTerms(terms))
    orders = _build_orders(settings, outside, orders_uow, terms, payments)
    return Container(
        settings=settings,
        clock=outside.clock,
        ids=outside.ids,
        currencies=IsoCurrencies(),
        token_verifier=_token_verifier(settings, keys, outside.clock),
        token_issuer=JwtIssuer(
            keys,
            issuer=settings.issuer,
            audience=settings.audience,
            now=outside.clock.now,
            new_token_id=partial(outside.ids.new, "tok"),
        ),
        sign_order_terms=SnapshotSigner(keys, ORDER_TERMS),
        public_jwks=keys.public_jwks,
        rate_limiter=RateLimiter(
            outside.clock.now,
            ValkeyCounts(settings.redis_url.reveal()) if settings.redis_url else None,
        ),
        orders=orders,
        payments=payments,
        streams=OrderStreams(
            partial(_read_behind, orders_uow.factory),
            listen_dsn=settings.orders_listen_database_url.reveal() or None,
            channel=orders_uow.outbox.channel,
            limit=settings.streams,
        ),
        checks={
            "ordersDatabase": partial(check_database, order_engine),
            "paymentsDatabase": partial(check_database, payment_engine),
            "broker": partial(asyncio.to_thread, check_broker, broker),
        },
        _broker=broker,
    )


async def _read_behind(
    unit_of_work: Callable[[], PostgresOrdersUnitOfWork], positions: Mapping[str, int], limit: int
) -> Sequence[Recorded]:
    async with unit_of_work() as uow:
        return await uow.history.behind(positions, limit=limit)


def _token_verifier(settings: Settings, keys: KeyFile, clock: Clock) -> IssuedTokens:
    sources: list[KeySource] = [keys, read_public_keys(settings.jwks)] if settings.jwks else [keys]
    profile = TokenProfile(issuer=settings.issuer, audience=settings.audience)
    return IssuedTokens(JwtVerifier(sources, profile, now=clock.now), settings.trusted_issuers, now=clock.now)


@dataclass(frozen=True, slots=True)
class _OrdersUnitOfWork:
    engine: AsyncEngine
    outbox: Outbox
    waker: Waker
    factory: Callable[[], PostgresOrdersUnitOfWork]


def _orders_unit_of_work(engine: AsyncEngine, outside: Outside) -> _OrdersUnitOfWork:
    outbox = Outbox("orders")
    waker = Waker(engine, outbox)
    factory = partial(
        PostgresOrdersUnitOfWork,
        engine,
        outbox,
        partial(order_effects.encode, event_id=outside.ids.event_id, traceparent=current_traceparent),
        waker.wake,
    )
    return _OrdersUnitOfWork(engine, outbox, waker, factory)


def _build_orders(
    settings: Settings,
    outside: Outside,
    parts: _OrdersUnitOfWork,
    terms: GetPaymentTermsHandler,
    payments: PaymentSide,
) -> OrderSide:
    uow, clock = parts.factory, outside.clock
    customers = outside.customers or build_customer_notifier(settings, IsoCurrencies(), clock)
    service = InProcessPayments(
        payments.create_payment,
        payments.confirm_payment,
        payments.cancel_payment,
        payments.create_refund,
        settings.return_url,
    )
    checkout, settlement = Checkout(uow, service, clock), Settlement(uow, service, clock)
    return OrderSide(
        engine=parts.engine,
        outbox=parts.outbox,
        waker=parts.waker,
        idempotency=PostgresIdempotencyStore(parts.engine, "orders"),
        create_order=CreateOrderHandler(uow, clock),
        change_order=ChangeOrderHandler(uow, clock),
        get_order=terms.get_order,
        list_orders=ListOrdersHandler(uow),
        confirm_order=ConfirmOrderHandler(uow, checkout, clock),
        retry_payment=RetryPaymentHandler(uow, checkout, clock),
        fulfil_order=FulfilOrderHandler(uow, clock),
        explain_order=ExplainOrderHandler(
            uow, terms.get_order, payments.read_story, progress_of(parts.engine)
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
        notify_warehouse=NotifyWarehouseHandler(
            uow,
            outside.warehouse,
            partial(fulfilment.encode, traceparent=current_traceparent),
            clock,
            outside.ids,
        ),
        webhooks=build_outgoing_webhooks(settings, uow, clock, outside.ids, outside.webhook_sender),
    )


def _build_payments(
    settings: Settings, outside: Outside, engine: AsyncEngine, order_terms: InProcessOrderTerms
) -> PaymentSide:
    outbox = Outbox("payments")
    waker = Waker(engine, outbox)
    uow = partial(
        PostgresPaymentsUnitOfWork,
        engine,
        outbox,
        partial(payment_events.encode, traceparent=current_traceparent),
        waker.wake,
    )
    clock, ids = outside.clock, outside.ids
    built = build_gateways(settings, clock.now, outside.gateway)
    gateways = built.gateways
    runner = OperationRunner(uow, gateways, clock, ids)
    receive_webhook = ReceiveWebhookHandler(uow, gateways, clock, ids)
    create_payment = CreatePaymentHandler(
        uow,
        gateways,
        order_terms,
        runner,
        clock,
        receipts_to_customers=settings.receipts == "customer",
    )
    return PaymentSide(
        engine=engine,
        outbox=outbox,
        waker=waker,
        gateways=gateways,
        circuits=built.circuits,
        idempotency=PostgresIdempotencyStore(engine, "payments"),
        create_payment=create_payment,
        preflight_payment=PreflightPaymentHandler(create_payment),
        update_payment=UpdatePaymentHandler(uow, gateways, order_terms, runner, clock),
        confirm_payment=ConfirmPaymentHandler(uow, gateways, runner, clock),
        capture_payment=CapturePaymentHandler(uow, gateways, runner, clock),
        cancel_payment=CancelPaymentHandler(uow, gateways, runner, clock),
        get_payment=GetPaymentHandler(uow),
        list_payments=ListPaymentsHandler(uow),
        list_saved_methods=ListSavedMethodsHandler(uow, gateways),
        detach_saved_method=DetachSavedMethodHandler(uow, gateways),
        count_attentions=CountAttentionsHandler(uow),
        create_refund=CreateRefundHandler(uow, gateways, runner, clock),
        get_refund=GetRefundHandler(uow),
        list_disputes=ListDisputesHandler(uow),
        get_dispute=GetDisputeHandler(uow),
        remind_of_evidence=RemindOfEvidenceHandler(uow, clock, ids),
        receive_webhook=receive_webhook,
        forget_webhooks=ForgetWebhooksHandler(uow, clock, timedelta(days=settings.webhook_retention_days)),
        list_events=ListEventsHandler(uow),
        read_story=ReadStoryHandler(uow, IsoCurrencies()),
        recover_operations=RecoverOperationsHandler(uow, runner, receive_webhook, clock),
        refresh_payment=RefreshPaymentHandler(uow, gateways, clock, ids),
        check_payments=CheckPaymentsHandler(
            uow, gateways, clock, ids, timedelta(hours=settings.authorization_warning_hours)
        ),
    )
