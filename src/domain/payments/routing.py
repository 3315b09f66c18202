"""Which gateway account a payment belongs to.

A payment is given to one account before anything of it is sent, and stays with it: the account's name
is saved with the payment and with each of its operations, and every later call, look-up and webhook
of the payment goes by that name.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from domain.payments.errors import GatewayUnavailable
from domain.payments.gateway import PaymentGateway, WebhookVerifier


@dataclass(frozen=True, slots=True)
class Account:
    """An account at a gateway; `gateway.name` is its name."""

    gateway: PaymentGateway
    verifier: WebhookVerifier

    @property
    def name(self) -> str:
        return self.gateway.name


@dataclass(frozen=True, slots=True)
class Gateways:
    """The configured accounts, in the order in which a new payment is offered to them."""

    accounts: Sequence[Account]

    def of(self, name: str) -> PaymentGateway:
        """The gateway of the payments of this account. Raises GatewayUnavailable where it is not configured."""
        return self.account(name).gateway

    def verifier_of(self, name: str) -> WebhookVerifier:
        """Of this account's webhooks. Raises GatewayUnavailable where it is not configured."""
        return self.account(name).verifier

    def account(self, name: str) -> Account:
        for account in self.accounts:
            if account.name == name:
                return account
        raise GatewayUnavailable(f"the gateway account {name} is not configured")

    def for_new_payment(self) -> PaymentGateway:
        """The gateway that a new payment is given to."""
        return self.accounts[0].gateway
