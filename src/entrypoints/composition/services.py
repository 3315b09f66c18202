"""The other service, over HTTP, where it runs in another process."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from structlog.contextvars import get_contextvars

from adapters.security.issuers import RemoteKeys, ServiceTokens
from adapters.security.keys import KeyFile
from adapters.security.tls import MutualTls, TlsFiles
from adapters.security.tokens import SERVICE_TOKEN_SECONDS, JwtIssuer, TokenProfile
from adapters.services.client import ServiceClient
from adapters.services.identities import NEVER_OF_ORDERS, ORDERS, PAYMENTS
from domain.shared.callers import Caller
from domain.shared.system import Clock
from entrypoints.composition.outside import Outside
from entrypoints.settings import PREFIX, Settings, SettingsInvalid

JWKS_PATH = "/.well-known/jwks.json"


@dataclass(frozen=True, slots=True)
class Link:
    """To the other service: the calls that we make, its keys, and its tokens when it calls us."""

    client: ServiceClient
    keys: RemoteKeys
    tokens: ServiceTokens


@dataclass(frozen=True, slots=True)
class Links:
    """None where the other service runs in this process."""

    orders: Link | None
    payments: Link | None

    @property
    def present(self) -> Sequence[Link]:
        return [link for link in (self.orders, self.payments) if link is not None]

    async def aclose(self) -> None:
        for link in self.present:
            await link.client.aclose()


def build_links(settings: Settings, keys: KeyFile, outside: Outside) -> Links:
    """Nothing is connected before the first call. Raises SettingsInvalid and CertificatesInvalid."""
    build = partial(_build_link, settings, keys, outside)
    to_payments = settings.payments_url if settings.runs("orders") else None
    to_orders = settings.orders_url if settings.runs("payments") else None
    for service, address, name in (
        ("orders", to_payments, "payments_url"),
        ("payments", to_orders, "orders_url"),
    ):
        if settings.service == service and address is None:
            raise SettingsInvalid(
                f"{PREFIX}{name.upper()} is not set: where the {service} run alone they call the other service."
            )
    return Links(
        orders=build(PAYMENTS, ORDERS, to_orders) if to_orders else None,
        payments=build(ORDERS, PAYMENTS, to_payments) if to_payments else None,
    )


def _build_link(
    settings: Settings, keys: KeyFile, outside: Outside, us: Caller, them: Caller, url: str
) -> Link:
    clock = outside.clock
    issuer = JwtIssuer(
        keys,
        issuer=us.subject,
        audience=them.subject,
        now=clock.now,
        new_token_id=partial(outside.ids.new, "tok"),
    )
    client = ServiceClient(
        url.rstrip("/"),
        MutualTls(_client_files(settings), is_server=False),
        partial(_sign, issuer, clock),
        timeout_seconds=settings.service_timeout_seconds,
        headers=_headers,
    )
    their_keys = RemoteKeys(
        them.subject, f"{url.rstrip('/')}{JWKS_PATH}", client.http, clock.now, is_service=True
    )
    profile = TokenProfile(
        issuer=them.subject,
        audience=us.subject,
        # The order service brings the scopes of the people it acts for.
        scopes=None if them is ORDERS else them.scopes,
        never=NEVER_OF_ORDERS if them is ORDERS else frozenset(),
        is_service=True,
    )
    return Link(client, their_keys, ServiceTokens(profile, their_keys, clock.now))


def _client_files(settings: Settings) -> TlsFiles:
    """Raises SettingsInvalid."""
    given = {
        name: getattr(settings, name)
        for name in ("service_client_cert", "service_client_key", "service_client_ca")
    }
    for name, path in given.items():
        if path is None:
            raise SettingsInvalid(
                f"{PREFIX}{name.upper()} is not set: the other service wants our certificate (`payonce certs`)."
            )
    return TlsFiles(*given.values())


def _sign(issuer: JwtIssuer, clock: Clock, caller: Caller) -> str:
    return issuer.issue(
        caller.subject,
        caller.scopes,
        clock.now() + timedelta(seconds=SERVICE_TOKEN_SECONDS),
        order_id=caller.order_id,
        actor=caller.actor,
    )


def _headers() -> Mapping[str, str]:
    """What the call goes on in: the trace, and the request's id for both logs."""
    context = get_contextvars()
    found = {"traceparent": context.get("traceparent"), "X-Request-Id": context.get("request_id")}
    return {name: str(value) for name, value in found.items() if value}
