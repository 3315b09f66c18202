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
from adapters.postgres.readiness import check_database
from adapters.rate_limits.limiter import RateLimiter
from adapters.rate_limits.valkey import ValkeyCounts
from adapters.security.audit_heads import AUDIT_HEAD
from adapters.security.issuers import InternalTokens, IssuedTokens
from adapters.security.keys import KeyFile, KeySource, read_public_keys
from adapters.security.snapshots import OrderTermsSigner, SnapshotSigner
from adapters.security.tokens import JwtIssuer, JwtVerifier, TokenProfile
from adapters.system.currencies import IsoCurrencies
from adapters.system.ids import SystemIds
from domain.reconciliation.use_cases.measure import MeasureHandler
from domain.shared.audit_trail import AuditTrail
from domain.shared.callers import TokenIssuer, TokenVerifier
from domain.shared.money import Currencies
from domain.shared.system import Clock
from entrypoints.composition.order_side import OrderSide
from entrypoints.composition.outside import Outside
from entrypoints.composition.payment_side import PaymentSide
from entrypoints.composition.reconciliation import Reconciliation
from entrypoints.composition.services import Links, build_links
from entrypoints.composition.sides import Sides, build_sides
from entrypoints.operating.logs import LoggedEvents, operations_of
from entrypoints.operating.protection import ProtectionCheck
from entrypoints.settings import PREFIX, Settings, SettingsInvalid
from entrypoints.streams import OrderStreams
from outbox import Operations

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
    """Of those who come by the first listener."""
    internal_verifier: TokenVerifier
    """Of those who come by the internal one: the other service besides."""
    token_issuer: TokenIssuer
    sign_order_terms: OrderTermsSigner
    sign_audit_head: SnapshotSigner
    public_jwks: Callable[[], Mapping[str, Any]]
    rate_limiter: RateLimiter
    sides: Sides
    audit: AuditTrail
    checks: Mapping[str, Check]
    _links: Links
    _broker: Broker
    _stopping: asyncio.Event = field(default_factory=asyncio.Event)
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)

    @property
    def orders(self) -> OrderSide:
        """For what runs only with the order service."""
        assert self.sides.orders is not None, "this process runs no order service"
        return self.sides.orders.side

    @property
    def payments(self) -> PaymentSide:
        """For what runs only with the payment service."""
        assert self.sides.payments is not None, "this process runs no payment service"
        return self.sides.payments.side

    @property
    def logs(self) -> Mapping[str, Operations]:
        """The logs of the services that run here, by their names."""
        payments, orders = (
            part.side.engine if part is not None else None
            for part in (self.sides.payments, self.sides.orders)
        )
        elsewhere = self.sides.payments.followers if self.sides.payments and orders is None else ()
        return operations_of(payments, orders, elsewhere)

    @property
    def reconciliation(self) -> Reconciliation:
        """Of orders with their payments: it runs with the order service."""
        assert self.sides.orders is not None, "this process runs no order service"
        return self.sides.orders.reconciliation

    @property
    def measure(self) -> MeasureHandler:
        """How far the books that are kept here are from agreeing."""
        return (self.reconciliation if self.sides.orders else self.payments.reconciliation).measure

    @property
    def logged_events(self) -> LoggedEvents:
        """For what runs only with the order service."""
        assert self.sides.orders is not None, "this process runs no order service"
        return self.sides.orders.logged_events

    @property
    def streams(self) -> OrderStreams:
        """For what runs only with the order service."""
        assert self.sides.orders is not None, "this process runs no order service"
        return self.sides.orders.streams

    @property
    def running(self) -> Sequence[OrderSide | PaymentSide]:
        """The services that run here."""
        return self.sides.running

    async def start(self) -> None:
        for side in self.running:
            self._tasks.append(asyncio.create_task(side.waker.run(self._stopping)))
        self._tasks.append(asyncio.create_task(self.rate_limiter.run(self._stopping)))
        if self.sides.orders is not None:
            self._tasks.append(asyncio.create_task(self.streams.run(self._stopping)))

    async def stop(self) -> None:
        """End streams, wake relays a last time, then close every connection."""
        self._stopping.set()
        await asyncio.gather(*self._tasks)
        if self.sides.payments is not None:
            for account in self.payments.gateways.accounts:
                await account.gateway.aclose()
        await self.rate_limiter.close()
        await self.token_verifier.close()
        await self._links.aclose()
        if self.sides.orders is not None:
            await self.orders.webhooks.aclose()
        self._broker.close()
        for side in self.running:
            await side.engine.dispose()


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
    settings.require_databases()
    broker = make_broker_of(settings)
    keys, clock = KeyFile(settings.signing_key_file), outside.clock
    links = build_links(settings, keys, outside)
    sides = build_sides(settings, outside, keys, links)
    verifier = _token_verifier(settings, keys, clock)
    return Container(
        settings=settings,
        clock=clock,
        ids=outside.ids,
        currencies=IsoCurrencies(),
        token_verifier=verifier,
        internal_verifier=InternalTokens([link.tokens for link in links.present], verifier),
        token_issuer=JwtIssuer(
            keys,
            issuer=settings.issuer,
            audience=settings.audience,
            now=clock.now,
            new_token_id=partial(outside.ids.new, "tok"),
        ),
        sign_order_terms=OrderTermsSigner(keys, clock.now),
        sign_audit_head=SnapshotSigner(keys, AUDIT_HEAD),
        public_jwks=keys.public_jwks,
        rate_limiter=RateLimiter(
            clock.now, ValkeyCounts(settings.redis_url.reveal()) if settings.redis_url else None
        ),
        sides=sides,
        audit=AuditTrail(
            {
                side.outbox.schema: PostgresAuditReader(side.engine, side.outbox.schema)
                for side in sides.running
            }
        ),
        checks={
            **{
                f"{side.outbox.schema}Database": partial(check_database, side.engine)
                for side in sides.running
            },
            "broker": partial(asyncio.to_thread, check_broker, broker),
            "auditLog": ProtectionCheck([side.engine for side in sides.running]),
        },
        _links=links,
        _broker=broker,
    )


def _token_verifier(settings: Settings, keys: KeyFile, clock: Clock) -> IssuedTokens:
    sources: list[KeySource] = [keys, read_public_keys(settings.jwks)] if settings.jwks else [keys]
    profile = TokenProfile(issuer=settings.issuer, audience=settings.audience)
    return IssuedTokens(JwtVerifier(sources, profile, now=clock.now), settings.trusted_issuers, now=clock.now)
