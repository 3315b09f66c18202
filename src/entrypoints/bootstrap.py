"""The one composition root: every object of the application is made and joined here and in `composition`.

Anything outside the process may be replaced by a fake: `Outside` names those things.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from dramatiq import Broker

from adapters.dramatiq.broker import UnknownBroker, make_broker
from adapters.dramatiq.readiness import check_broker
from adapters.postgres.audit import PostgresAuditReader
from adapters.postgres.engine import make_engine
from adapters.postgres.orders import PostgresOrdersUnitOfWork
from adapters.postgres.readiness import check_database
from adapters.rate_limits.limiter import RateLimiter
from adapters.rate_limits.valkey import ValkeyCounts
from adapters.security.audit_heads import AUDIT_HEAD
from adapters.security.issuers import IssuedTokens
from adapters.security.keys import KeyFile, KeySource, read_public_keys
from adapters.security.snapshots import ORDER_TERMS, SnapshotSigner
from adapters.security.tokens import JwtIssuer, JwtVerifier, TokenProfile
from adapters.services.in_process import InProcessOrderTerms
from adapters.system.currencies import IsoCurrencies
from adapters.system.ids import SystemIds
from domain.orders.history import Recorded
from domain.orders.use_cases.read_orders import GetOrderHandler, GetPaymentTermsHandler
from domain.shared.audit_trail import AuditTrail
from domain.shared.callers import TokenIssuer
from domain.shared.money import Currencies
from domain.shared.system import Clock
from entrypoints.composition.order_side import OrderSide, build_orders, orders_unit_of_work
from entrypoints.composition.outside import Outside
from entrypoints.composition.payment_side import PaymentSide, build_payments
from entrypoints.composition.reconciliation import Reconciliation, build_reconciliation
from entrypoints.data_keys import vault_of_settings
from entrypoints.operating.protection import ProtectionCheck
from entrypoints.settings import PREFIX, Settings, SettingsInvalid
from entrypoints.streams import OrderStreams

Check = Callable[[], Awaitable[str | None]]
"""Raises where what it looks at cannot be used now; the error says why. What it gives is worth knowing besides."""


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
    sign_audit_head: SnapshotSigner
    public_jwks: Callable[[], Mapping[str, Any]]
    rate_limiter: RateLimiter
    orders: OrderSide
    payments: PaymentSide
    reconciliation: Reconciliation
    streams: OrderStreams
    audit: AuditTrail
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
    vault = vault_of_settings(settings)
    order_engine = make_engine(
        settings.orders_database_url.reveal(),
        pool_size=settings.database_pool_size,
        application="payonce-orders",
        pooled=settings.database_pooler == "transaction",
        vault=vault,
    )
    payment_engine = make_engine(
        settings.payments_database_url.reveal(),
        pool_size=settings.database_pool_size,
        application="payonce-payments",
        pooled=settings.database_pooler == "transaction",
        vault=vault,
    )
    orders_uow = orders_unit_of_work(order_engine, outside)
    terms = GetPaymentTermsHandler(GetOrderHandler(orders_uow.factory))
    payments = build_payments(settings, outside, payment_engine, InProcessOrderTerms(terms))
    orders = build_orders(settings, outside, orders_uow, terms, payments)
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
        sign_audit_head=SnapshotSigner(keys, AUDIT_HEAD),
        public_jwks=keys.public_jwks,
        rate_limiter=RateLimiter(
            outside.clock.now,
            ValkeyCounts(settings.redis_url.reveal()) if settings.redis_url else None,
        ),
        orders=orders,
        payments=payments,
        reconciliation=build_reconciliation(settings, outside, orders, payments),
        streams=OrderStreams(
            partial(_read_behind, orders_uow.factory),
            listen_dsn=settings.orders_listen_database_url.reveal() or None,
            channel=orders_uow.outbox.channel,
            limit=settings.streams,
        ),
        audit=AuditTrail(
            {
                name: PostgresAuditReader(engine, name)
                for name, engine in (("payments", payment_engine), ("orders", order_engine))
                if settings.service in ("all", name)
            }
        ),
        checks={
            "ordersDatabase": partial(check_database, order_engine),
            "paymentsDatabase": partial(check_database, payment_engine),
            "broker": partial(asyncio.to_thread, check_broker, broker),
            "auditLog": ProtectionCheck((order_engine, payment_engine)),
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
