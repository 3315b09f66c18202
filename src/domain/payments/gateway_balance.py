"""What a gateway tells of the balance that it holds for us, for the ledger.

Optional, as its lists are: of a gateway without these calls no fees and payouts are posted, and nothing is compared.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol, cast

from domain.payments.balance import BalancePage, GatewayBalance, Payout
from domain.payments.gateway import PaymentGateway
from domain.payments.routing import Gateways


class BalanceBook(Protocol):
    """Every coroutine raises GatewayUnknown or GatewayRefused."""

    @property
    def name(self) -> str:
        """Of the account."""
        ...

    async def list_balance_transactions(
        self,
        *,
        created_from: datetime | None = None,
        created_before: datetime | None = None,
        payout_id: str | None = None,
        after: str | None = None,
        limit: int = 100,
    ) -> BalancePage:
        """Movements of our balance, newest first, behind the id `after`; `created_from` is included.

        Of an automatic payout: all that it is made of, and the movement that it is itself.
        """
        ...

    async def find_payout(self, payout_id: str) -> Payout | None: ...

    async def list_payouts(self, *, limit: int) -> Sequence[Payout]:
        """Newest first."""
        ...

    async def get_balance(self) -> Sequence[GatewayBalance]:
        """What the gateway holds for us now, in each currency."""
        ...


def balance_book_of(gateway: PaymentGateway) -> BalanceBook | None:
    """The balance of a gateway that tells of it. By name, for a circuit or a test may stand around it."""
    calls = ("list_balance_transactions", "find_payout", "list_payouts", "get_balance")
    return cast(BalanceBook, gateway) if all(hasattr(gateway, name) for name in calls) else None


def balance_books(gateways: Gateways) -> Sequence[BalanceBook]:
    """Of the accounts that have one."""
    found = (balance_book_of(account.gateway) for account in gateways.accounts)
    return [book for book in found if book is not None]
