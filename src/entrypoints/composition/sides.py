"""The services that this process runs, and how each reaches the other: over its link, or beside it in the process."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres.engine import make_engine
from adapters.postgres.orders import PostgresOrdersUnitOfWork
from adapters.postgres.sealing import Vault
from adapters.security.keys import KeyFile
from adapters.security.snapshots import OrderTermsReader, OrderTermsSigner
from adapters.services.http_books import HttpLoggedEvents, HttpPaymentBook
from adapters.services.http_orders import HttpConsumer, HttpOrderTerms, HttpWebhookQueue
from adapters.services.http_payments import HttpPayments
from adapters.services.identities import ORDERS
from adapters.services.in_process import InProcessOrderTerms, InProcessPayments
from domain.orders.history import Recorded
from domain.orders.ports import PaymentService, PaymentStories
from domain.orders.use_cases.read_orders import GetOrderHandler, GetPaymentTermsHandler
from domain.orders.webhooks.ports import EventToSend
from domain.payments.check_back import CheckBack, OrderCheck
from domain.payments.ports import OrderTermsSource
from domain.reconciliation.order_ports import PaymentBook
from entrypoints.composition.order_side import (
    OrderSide,
    OrdersUnitOfWorkParts,
    build_orders,
    orders_unit_of_work,
)
from entrypoints.composition.outside import Outside
from entrypoints.composition.payment_side import PaymentSide, build_payments
from entrypoints.composition.reconciliation import Reconciliation, build_reconciliation
from entrypoints.composition.services import Links
from entrypoints.data_keys import vault_of_settings
from entrypoints.operating.findings import databases_of
from entrypoints.operating.logs import LoggedEvents
from entrypoints.settings import Secret, Settings
from entrypoints.streams import OrderStreams
from entrypoints.worker.subscriptions import ORDERS as ORDERS_CONSUMER
from outbox import Follower

HandOver = Callable[[Sequence[EventToSend]], Awaitable[object]]
"""Gives payment events to the order side, to be sent to who has registered for them."""


@dataclass(frozen=True, slots=True)
class PaymentsPart:
    """The payment service, and who follows its log on the order side."""

    side: PaymentSide
    followers: Sequence[Follower]
    queue_webhooks: HandOver


@dataclass(frozen=True, slots=True)
class OrdersPart:
    """The order service, those who follow orders live, and the comparison of orders with their payments."""

    side: OrderSide
    streams: OrderStreams
    reconciliation: Reconciliation
    logged_events: LoggedEvents
    """What the payments' log has of a payment."""


@dataclass(frozen=True, slots=True)
class Sides:
    """None is a service that runs elsewhere."""

    orders: OrdersPart | None
    payments: PaymentsPart | None

    @property
    def running(self) -> Sequence[OrderSide | PaymentSide]:
        return [part.side for part in (self.orders, self.payments) if part is not None]


def build_sides(settings: Settings, outside: Outside, keys: KeyFile, links: Links) -> Sides:
    """Each service with its own database alone."""
    vault = vault_of_settings(settings)
    parts = None
    if settings.runs("orders"):
        engine = _engine(settings, settings.orders_database_url, "orders", vault)
        parts = orders_unit_of_work(engine, outside)
    payments = None
    if settings.runs("payments"):
        engine = _engine(settings, settings.payments_database_url, "payments", vault)
        payments = build_payments(
            settings, outside, engine, _order_check(settings, outside, keys, links, parts)
        )
    orders = _orders_part(settings, outside, keys, links, parts, payments) if parts is not None else None
    return Sides(
        orders=orders,
        payments=_with_followers(payments, orders.side if orders else None, links) if payments else None,
    )


def _order_check(
    settings: Settings, outside: Outside, keys: KeyFile, links: Links, parts: OrdersUnitOfWorkParts | None
) -> OrderCheck:
    now = outside.clock.now
    source: OrderTermsSource
    if links.orders is not None:
        source = HttpOrderTerms(links.orders.client)
        read_snapshot = OrderTermsReader(links.orders.keys, now)
    else:
        assert parts is not None, "build_links has seen that the order service is somewhere"
        source = InProcessOrderTerms(GetPaymentTermsHandler(GetOrderHandler(parts.factory)))
        read_snapshot = OrderTermsReader(keys, now)
    return OrderCheck(source, read_snapshot, settings.check_back_policy())


def _orders_part(
    settings: Settings,
    outside: Outside,
    keys: KeyFile,
    links: Links,
    parts: OrdersUnitOfWorkParts,
    payments: PaymentSide | None,
) -> OrdersPart:
    service: PaymentService
    stories: PaymentStories
    book: PaymentBook
    logged: LoggedEvents
    if links.payments is not None:
        client = links.payments.client
        service = stories = HttpPayments(
            client, settings.return_url, OrderTermsSigner(keys, outside.clock.now)
        )
        book, logged = HttpPaymentBook(client), HttpLoggedEvents(client)
    else:
        assert payments is not None, "build_links has seen that the payment service is somewhere"
        service = _payments_here(settings, outside, keys, payments)
        stories, book, logged = payments.read_story, payments.statements, payments.logged_events
    findings = databases_of(settings, parts.engine, payments.engine if payments is not None else None)
    side = build_orders(settings, outside, parts, service, stories, findings)
    return OrdersPart(
        side,
        _streams(settings, parts),
        build_reconciliation(settings, outside, parts.engine, book, service, databases=findings),
        logged,
    )


def _payments_here(
    settings: Settings, outside: Outside, keys: KeyFile, payments: PaymentSide
) -> InProcessPayments:
    wants_terms = settings.check_back_policy().of(ORDERS) in (CheckBack.SNAPSHOT, CheckBack.BOTH)
    return InProcessPayments(
        payments.create_payment,
        payments.confirm_payment,
        payments.cancel_payment,
        payments.create_refund,
        settings.return_url,
        OrderTermsSigner(keys, outside.clock.now) if wants_terms else None,
    )


def _with_followers(payments: PaymentSide, orders: OrderSide | None, links: Links) -> PaymentsPart:
    if links.orders is not None:
        client = links.orders.client
        consumer = HttpConsumer(client, ORDERS_CONSUMER.consumer, ORDERS_CONSUMER.topic)
        return PaymentsPart(payments, [consumer], HttpWebhookQueue(client))
    assert orders is not None, "build_links has seen that the order service is somewhere"
    return PaymentsPart(payments, list(orders.consumers.values()), orders.webhooks.queue)


def _engine(settings: Settings, url: Secret, service: str, vault: Vault) -> AsyncEngine:
    return make_engine(
        url.reveal(),
        pool_size=settings.database_pool_size,
        application=f"payonce-{service}",
        pooled=settings.database_pooler == "transaction",
        vault=vault,
    )


def _streams(settings: Settings, parts: OrdersUnitOfWorkParts) -> OrderStreams:
    return OrderStreams(
        partial(_read_behind, parts.factory),
        listen_dsn=settings.orders_listen_database_url.reveal() or None,
        channel=parts.outbox.channel,
        limit=settings.streams,
    )


async def _read_behind(
    unit_of_work: Callable[[], PostgresOrdersUnitOfWork], positions: Mapping[str, int], limit: int
) -> Sequence[Recorded]:
    async with unit_of_work() as uow:
        return await uow.history.behind(positions, limit=limit)
