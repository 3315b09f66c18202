"""What the contract suite needs of a gateway that it runs on; docs/gateways.md says how to run it on another."""

from abc import ABC, abstractmethod

from domain.payments.gateway import IntentSnapshot, PaymentGateway


class Bench(ABC):
    """A gateway under test; the other methods are the world's doing, not the port's.

    A method may be paid with by the names of Stripe's test tokens (https://docs.stripe.com/testing), as
    the suite uses them: the bench of another gateway has its `gateway` translate them into its own.
    """

    gateway: PaymentGateway

    @abstractmethod
    def save_method(self, gateway_customer_id: str, kind: str = "pm_card_visa") -> str:
        """Attach a card that pays like the test token `kind` to a customer; its token."""

    @abstractmethod
    def delete_customer(self, gateway_customer_id: str) -> None:
        """Somebody deletes a customer in the gateway's dashboard."""

    @abstractmethod
    def open_dispute(self, intent_id: str) -> str:
        """The cardholder's bank disputes what this intent took; the dispute's id."""

    @abstractmethod
    def authenticate(self, snapshot: IntentSnapshot, *, passes: bool) -> None:
        """The customer answers the bank's challenge."""

    @abstractmethod
    def settle_debit(self, snapshot: IntentSnapshot) -> None:
        """The bank answers, days later."""

    @abstractmethod
    def lapse(self, snapshot: IntentSnapshot) -> None:
        """The time of the authorization is over."""

    def wait(self) -> None:
        """A second passes at the gateway, so that it books what it took; for those that tell of their balance."""
        raise NotImplementedError

    def pay_out(self) -> None:
        """All that the gateway holds for us in EUR is sent to the bank, a few days later; for the same."""
        raise NotImplementedError
