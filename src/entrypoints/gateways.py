"""The gateway accounts of the settings, made by the plug-ins that installed packages offer."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from importlib.metadata import EntryPoint, entry_points
from typing import Any, cast

from adapters.circuit_breaker.circuit import Circuit, guard
from domain.payments.gateway import PaymentGateway
from domain.payments.plugin import ENTRY_POINTS, GatewayParts, GatewayPlugin, GatewaySettingWrong
from domain.payments.routing import Account, Gateways
from entrypoints.settings import PREFIX, AccountSettings, Settings, SettingsInvalid

_GATEWAYS = f"{PREFIX}GATEWAYS"


@dataclass(frozen=True, slots=True)
class BuiltGateways:
    gateways: Gateways
    circuits: Mapping[str, Circuit]
    """By the account's name, for those who look on."""


def build_gateways(
    settings: Settings, now: Callable[[], datetime], replaced: PaymentGateway | None = None
) -> BuiltGateways:
    """The accounts of these settings; nothing is connected yet. Raises SettingsInvalid.

    `replaced` stands in for the gateway of the first account, whose webhooks are verified as ever.
    """
    built: list[Account] = []
    circuits: dict[str, Circuit] = {}
    for account in settings.gateways or (_default_account(settings),):
        parts = _make(account, now)
        gateway = parts.gateway
        if replaced is not None and not built:
            gateway = replaced
        circuit = Circuit(
            gateway.name,
            gateway.check,
            failures=settings.circuit_failures,
            pause_seconds=settings.circuit_pause_seconds,
        )
        circuits[circuit.name] = circuit
        built.append(
            Account(guard(gateway, circuit), parts.verifier, account.currencies, partial(_is_closed, circuit))
        )
    return BuiltGateways(Gateways(built), circuits)


def _is_closed(circuit: Circuit) -> bool:
    return circuit.closed


def _default_account(settings: Settings) -> AccountSettings:
    """The one account of the STRIPE_* settings."""
    settings.require("stripe_api_key", "stripe_webhook_secret")
    own: dict[str, Any] = {
        "api_key": settings.stripe_api_key.reveal(),
        "webhook_secret": settings.stripe_webhook_secret.reveal(),
        "api_base": settings.stripe_api_base,
        "timeout_seconds": settings.stripe_timeout_seconds,
        "webhook_tolerance_seconds": settings.webhook_tolerance_seconds,
        "multicapture": settings.stripe_multicapture,
        "statement_descriptor_prefix": settings.statement_descriptor_prefix,
    }
    return AccountSettings(name="stripe", kind="stripe", own=own)


def _make(account: AccountSettings, now: Callable[[], datetime]) -> GatewayParts:
    plugin = _load(account)
    try:
        return plugin(account.name, account.own, now)
    except GatewaySettingWrong as error:
        raise SettingsInvalid(
            f"{_GATEWAYS} is wrong: {error.setting} of the account {account.name} {error.fault}."
        ) from error


def _load(account: AccountSettings) -> GatewayPlugin:
    offered = entry_points(group=ENTRY_POINTS)
    found = list({entry.value: entry for entry in offered if entry.name == account.kind}.values())
    if not found:
        kinds = ", ".join(sorted({entry.name for entry in offered})) or "none; `make install` registers ours"
        raise SettingsInvalid(
            f"{_GATEWAYS} is wrong: no installed package offers {account.kind}, the kind of the account"
            f" {account.name} (offered: {kinds})."
        )
    if len(found) > 1:
        packages = " and ".join(sorted(_package_of(entry) for entry in found))
        raise SettingsInvalid(
            f"{_GATEWAYS} is wrong: {packages} both offer {account.kind}, the kind of the account {account.name}."
        )
    try:
        return cast(GatewayPlugin, found[0].load())
    except (ImportError, AttributeError) as error:
        raise SettingsInvalid(
            f"{_GATEWAYS} is wrong: {account.kind}, the kind of the account {account.name}, cannot be loaded"
            f" from {found[0].value} ({error})."
        ) from error


def _package_of(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist else entry.value
