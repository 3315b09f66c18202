"""Which gateway account a payment is given to.

The rule: a new payment goes to the first account, in the configured order, that takes its amount and
currency and whose circuit is closed; where it comes with a payment method's token, which one account
only knows, to the first of them that knows it. The account's name is saved with the payment in the transaction
that saves its first operation, before anything is sent, and with every operation: each later call,
look-up, repetition and webhook of the payment goes by that name, whatever the other accounts' health.
So nothing that was sent to one account is ever sent to another while its outcome is unknown. An order
moves to another account by a new payment only, and there is room for one (a constraint of the database)
once its account has proved that it did nothing: it refused the creation, it canceled the intent, or the
very first attempt to create it never left us (`GatewayNotSent`), so that the payment is forgotten.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from domain.payments.errors import CurrencyUnsupported, GatewayUnavailable
from domain.payments.gateway import PaymentGateway
from domain.payments.webhook import WebhookVerifier
from domain.shared.errors import Refused


def _always() -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Account:
    """An account at a gateway; `gateway.name` is its name."""

    gateway: PaymentGateway
    verifier: WebhookVerifier
    currencies: frozenset[str] | None = None
    """The currencies that the operator gives to it; None: whichever the gateway takes."""
    is_reachable: Callable[[], bool] = _always
    """Whether its circuit is closed in this process."""

    @property
    def name(self) -> str:
        return self.gateway.name

    def check_takes(self, amount: int, currency: str) -> None:
        """Raises what the gateway's `check_amount` does, CurrencyUnsupported also where the operator left it out."""
        if self.currencies is not None and currency not in self.currencies:
            raise CurrencyUnsupported(pointer="/currency")
        self.gateway.check_amount(amount, currency)


@dataclass(frozen=True, slots=True)
class Gateways:
    """The configured accounts, in the order in which a new payment is offered to them."""

    accounts: Sequence[Account]

    def for_new_payment(self, amount: int, currency: str) -> Sequence[PaymentGateway]:
        """The gateways, at least one, that a new payment may be given to by the rule of this module.

        Raises GatewayUnavailable where the circuits of all accounts that take it are open, and what
        `taking` does.
        """
        taking = self.taking(amount, currency)
        reachable = [account.gateway for account in taking if account.is_reachable()]
        if not reachable:
            raise GatewayUnavailable
        return reachable

    def taking(self, amount: int, currency: str) -> Sequence[Account]:
        """The accounts that take this amount, at least one, whatever their health.

        Raises where none does the refusal of the first account that takes the currency, else CurrencyUnsupported.
        """
        refusals: list[Refused] = []
        taking: list[Account] = []
        for account in self.accounts:
            try:
                account.check_takes(amount, currency)
            except Refused as refusal:
                refusals.append(refusal)
            else:
                taking.append(account)
        if not taking:
            of_amount = (refusal for refusal in refusals if not isinstance(refusal, CurrencyUnsupported))
            raise next(of_amount, refusals[0])
        return taking

    def to_begin(self, name: str) -> PaymentGateway:
        """The gateway of this account, to begin something new at. Raises GatewayUnavailable also where its circuit is open."""
        account = self.account(name)
        if not account.is_reachable():
            raise GatewayUnavailable
        return account.gateway

    def of(self, name: str) -> PaymentGateway:
        """The gateway of this account, for what was begun there. Raises GatewayUnavailable where it is not configured."""
        return self.account(name).gateway

    def verifier_of(self, name: str) -> WebhookVerifier:
        """Of this account's webhooks. Raises GatewayUnavailable where it is not configured."""
        return self.account(name).verifier

    def account(self, name: str) -> Account:
        """Raises GatewayUnavailable where it is not configured."""
        for account in self.accounts:
            if account.name == name:
                return account
        raise GatewayUnavailable(f"The gateway account {name} is not configured.")

    def unreachable(self) -> list[str]:
        """The accounts whose circuits are open."""
        return [account.name for account in self.accounts if not account.is_reachable()]
