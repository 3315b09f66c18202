"""Stripe as a gateway plug-in: the settings of one account, and what is made of them."""

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Annotated, Any

import msgspec

from adapters.stripe.descriptors import LONGEST_PREFIX, SHORTEST_PREFIX
from adapters.stripe.gateway import StripeGateway
from adapters.stripe.webhooks import StripeWebhookVerifier
from domain.payments.plugin import GatewayParts, GatewaySettingWrong

_Text = Annotated[str, msgspec.Meta(min_length=1)]
_Address = Annotated[str, msgspec.Meta(pattern=r"^https?://[^/\s]+")]

_Prefix = Annotated[str, msgspec.Meta(min_length=SHORTEST_PREFIX, max_length=LONGEST_PREFIX)]


class StripeSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    api_key: _Text
    """The account's secret key."""
    webhook_secret: _Text
    """The signing secret of our webhook endpoint in this account."""
    api_base: _Address = "https://api.stripe.com"
    timeout_seconds: Annotated[float, msgspec.Meta(gt=0, le=3600)] = 20.0
    """How long one call may take before its outcome counts as unknown."""
    webhook_tolerance_seconds: Annotated[int, msgspec.Meta(ge=1)] = 300
    """How old a webhook's signature may be (Stripe's own default is 300)."""
    multicapture: bool = False
    """Whether the account may capture in parts (https://docs.stripe.com/payments/multicapture)."""
    statement_descriptor_prefix: _Prefix | None = None
    """The account's own part of statement descriptors, as Stripe's Dashboard has it."""


def make(name: str, settings: Mapping[str, Any], now: Callable[[], datetime]) -> GatewayParts:
    """See `domain.payments.plugin.GatewayPlugin`."""
    read = _read(settings)
    return GatewayParts(
        StripeGateway(
            name=name,
            api_key=read.api_key,
            api_base=read.api_base,
            timeout_seconds=read.timeout_seconds,
            multicapture=read.multicapture,
            descriptor_prefix=read.statement_descriptor_prefix,
        ),
        StripeWebhookVerifier(
            secrets=[read.webhook_secret], tolerance_seconds=read.webhook_tolerance_seconds, clock=now
        ),
    )


def _read(settings: Mapping[str, Any]) -> StripeSettings:
    try:
        return msgspec.convert(dict(settings), StripeSettings)
    except msgspec.ValidationError as error:
        raise _wrong(str(error)) from None


def _wrong(message: str) -> GatewaySettingWrong:
    """msgspec's message, which names types and limits and never a value."""
    if missing := re.fullmatch(r"Object missing required field `(\w+)`", message):
        return GatewaySettingWrong(missing[1], "is missing")
    if unknown := re.fullmatch(r"Object contains unknown field `(.+)`", message):
        return GatewaySettingWrong(unknown[1], "is not one of its settings")
    fault, _, setting = message.partition(" - at `$.")
    if "matching regex" in fault:
        return GatewaySettingWrong(setting.rstrip("`"), "is not an address of the form https://… or http://…")
    return GatewaySettingWrong(
        setting.rstrip("`"), f"is wrong: {fault[:1].lower()}{fault[1:].replace('`', '')}"
    )
