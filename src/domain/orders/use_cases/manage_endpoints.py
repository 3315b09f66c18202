"""What operators do with webhook endpoints."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import urlsplit

from domain.orders.ports import OrdersUnitOfWork, UnitOfWorkFactory
from domain.orders.webhooks.endpoint import (
    CONFIGURED_ID,
    FULFILMENT_TYPES,
    WebhookEndpoint,
)
from domain.orders.webhooks.errors import EndpointNotFound
from domain.orders.webhooks.ports import NewSecret, WebhookSender
from domain.shared.audit import AuditEntry
from domain.shared.callers import Caller
from domain.shared.system import Clock
from domain.shared.timeline import Detail


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterEndpoint:
    caller: Caller
    request_id: str
    url: str
    event_types: Collection[str]
    description: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeEndpoint:
    """What is None stays as it is; an empty description takes it away."""

    caller: Caller
    endpoint_id: str
    url: str | None = None
    event_types: Collection[str] | None = None
    description: str | None = None
    enabled: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfiguredEndpoint:
    """Where the settings send fulfilment requests."""

    url: str
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class EndpointsHandler:
    unit_of_work: UnitOfWorkFactory
    sender: WebhookSender
    new_secret: NewSecret
    clock: Clock

    async def register(self, request: RegisterEndpoint) -> WebhookEndpoint:
        """Make an endpoint with a secret of its own. Raises EndpointUrlRefused."""
        await self.sender.check(request.url)
        endpoint_id = f"whe_{request.request_id}"
        async with self.unit_of_work() as uow:
            known = await uow.endpoints.get(endpoint_id)
            if known is not None:  # a repetition of the request, after a crash
                return known
            now = self.clock.now()
            endpoint = WebhookEndpoint(
                endpoint_id=endpoint_id,
                url=request.url,
                event_types=tuple(dict.fromkeys(request.event_types)),
                description=request.description or None,
                secret=self.new_secret(),
                created_at=now,
                updated_at=now,
            )
            await uow.endpoints.add(endpoint)
            await uow.audit.append(_told(request.caller, "create", endpoint, None, now))
            await uow.commit()
        return endpoint

    async def get(self, endpoint_id: str) -> WebhookEndpoint:
        """Raises EndpointNotFound."""
        async with self.unit_of_work() as uow:
            return _found(await uow.endpoints.get(endpoint_id))

    async def all(self) -> list[WebhookEndpoint]:
        """Every endpoint, the oldest first."""
        async with self.unit_of_work() as uow:
            return list(await uow.endpoints.all())

    async def change(self, request: ChangeEndpoint) -> WebhookEndpoint:
        """Raises EndpointNotFound, EndpointConfigured, EndpointUrlRefused."""
        if request.url is not None:
            await self.sender.check(request.url)
        async with self.unit_of_work() as uow:
            endpoint = _found(await uow.endpoints.lock(request.endpoint_id))
            before, now = _picture(endpoint), self.clock.now()
            endpoint.change(
                now,
                url=request.url,
                event_types=request.event_types,
                description=request.description,
                enabled=request.enabled,
            )
            await uow.audit.append(_told(request.caller, "change", endpoint, before, now))
            await _save(uow, endpoint)
        return endpoint

    async def rotate_secret(self, caller: Caller, endpoint_id: str, request_id: str) -> WebhookEndpoint:
        """A new secret; the one before signs too for a day. Raises EndpointNotFound, EndpointConfigured."""
        async with self.unit_of_work() as uow:
            endpoint = _found(await uow.endpoints.lock(endpoint_id))
            endpoint.check_changeable()
            if endpoint.rotated_by != request_id:
                now = self.clock.now()
                endpoint.rotate(self.new_secret(), now)
                endpoint.rotated_by = request_id
                await uow.audit.append(_told(caller, "rotate_secret", endpoint, None, now))
                await _save(uow, endpoint)
        return endpoint

    async def delete(self, caller: Caller, endpoint_id: str) -> None:
        """Nothing is sent to it any more; its deliveries go with it. Raises EndpointNotFound, EndpointConfigured."""
        async with self.unit_of_work() as uow:
            endpoint = _found(await uow.endpoints.lock(endpoint_id))
            before, now = _picture(endpoint), self.clock.now()
            endpoint.delete(now)
            await uow.audit.append(_told(caller, "delete", endpoint, before, now))
            await _save(uow, endpoint)

    async def configure(self, configured: ConfiguredEndpoint | None) -> None:
        """Make the settings' endpoint what they say, or disable it where they say nothing any more."""
        async with self.unit_of_work() as uow:
            endpoint = await uow.endpoints.get(CONFIGURED_ID)
            if _is_as_configured(endpoint, configured):
                return
            now = self.clock.now()
            endpoint = await uow.endpoints.lock(CONFIGURED_ID)
            if endpoint is None and configured is not None:
                await uow.endpoints.add(_configured_endpoint(configured, now))
                await uow.commit()
            elif endpoint is not None:
                if configured is None:
                    endpoint.retire(now)
                else:
                    endpoint.configure(configured.url, configured.secret, now)
                await _save(uow, endpoint)


def _configured_endpoint(configured: ConfiguredEndpoint, now: datetime) -> WebhookEndpoint:
    return WebhookEndpoint(
        endpoint_id=CONFIGURED_ID,
        url=configured.url,
        event_types=FULFILMENT_TYPES,
        description="The warehouse that the settings name.",
        secret=configured.secret,
        created_at=now,
        updated_at=now,
    )


def _is_as_configured(endpoint: WebhookEndpoint | None, configured: ConfiguredEndpoint | None) -> bool:
    if endpoint is None or configured is None:
        return (endpoint is None or endpoint.is_retired) and configured is None
    wanted = (configured.url, configured.secret, FULFILMENT_TYPES)
    return not endpoint.is_retired and (endpoint.url, endpoint.secret, endpoint.event_types) == wanted


def _told(
    caller: Caller,
    verb: str,
    endpoint: WebhookEndpoint,
    before: Mapping[str, Detail] | None,
    now: datetime,
) -> AuditEntry:
    return AuditEntry.of(
        caller,
        f"endpoint.{verb}",
        "webhook_endpoint",
        endpoint.endpoint_id,
        at=now,
        before=before,
        after=None if endpoint.deleted_at else _picture(endpoint),
    )


def _picture(endpoint: WebhookEndpoint) -> Mapping[str, Detail]:
    """What tells of a change. Of the address its host alone: the rest may be a secret between two."""
    return {
        "host": urlsplit(endpoint.url).hostname,
        "eventTypes": ",".join(endpoint.event_types),
        "enabled": endpoint.is_enabled,
    }


def _found(endpoint: WebhookEndpoint | None) -> WebhookEndpoint:
    if endpoint is None:
        raise EndpointNotFound
    return endpoint


async def _save(uow: OrdersUnitOfWork, endpoint: WebhookEndpoint) -> None:
    await uow.endpoints.save(endpoint)
    await uow.commit()
