"""What a package offers that brings a gateway: a factory under the entry point group `payonce.gateways`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from domain.payments.gateway import PaymentGateway
from domain.payments.webhook import WebhookVerifier

ENTRY_POINTS = "payonce.gateways"


@dataclass(frozen=True, slots=True)
class GatewayParts:
    gateway: PaymentGateway
    verifier: WebhookVerifier


class GatewaySettingWrong(Exception):
    """A setting of a gateway account is wrong, unknown or missing."""

    def __init__(self, setting: str, fault: str) -> None:
        """`fault` goes on after the setting's name (`is missing`), and never holds its value: it may be a secret."""
        self.setting = setting
        self.fault = fault
        super().__init__(f"{setting} {fault}")


class GatewayPlugin(Protocol):
    def __call__(
        self, name: str, settings: Mapping[str, Any], now: Callable[[], datetime], /
    ) -> GatewayParts:
        """The gateway of the account `name`, made without any call, and the verifier of its webhooks.

        `settings` are those of the account that are not Payonce's own (name, kind, currencies); `now` is
        the time by which the age of a signature is judged. Raises GatewaySettingWrong.
        """
        ...
