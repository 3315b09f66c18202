"""Prove that the ledger is right: in itself, against the payments, and against the gateway's balance."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from uuid import UUID

from domain.payments.balance import BalanceTransaction
from domain.payments.errors import GatewayUnavailable
from domain.payments.gateway import GatewayFailed
from domain.payments.gateway_balance import balance_books
from domain.payments.ledger import Account
from domain.payments.ledger_ports import PaymentBooks
from domain.payments.ports import UnitOfWorkFactory
from domain.payments.routing import Gateways

PAGE = 500
SHOWN = 100
"""At most so many of each kind of fault are listed."""


@dataclass(frozen=True, slots=True)
class BalanceComparison:
    """What the ledger has on clearing beside what the gateway says it holds, pending and available."""

    gateway: str
    currency: str
    clearing: int
    at_gateway: int

    @property
    def difference(self) -> int:
        return self.at_gateway - self.clearing


@dataclass(frozen=True, slots=True)
class UnexplainedTransaction:
    """A movement at the gateway that no posting of ours explains."""

    gateway: str
    transaction: BalanceTransaction


@dataclass(frozen=True, slots=True)
class LedgerReport:
    payments: int
    """How many were compared."""
    unbalanced: Sequence[UUID]
    disagreeing: Sequence[PaymentBooks]
    unexplained: Sequence[UnexplainedTransaction]
    balances: Sequence[BalanceComparison]

    @property
    def is_right(self) -> bool:
        wrong = (self.unbalanced, self.disagreeing, self.unexplained)
        return not any(wrong) and not any(one.difference for one in self.balances)


@dataclass(frozen=True, slots=True)
class VerifyLedgerHandler:
    """Each part may be asked for by itself; the reconciliation does."""

    unit_of_work: UnitOfWorkFactory
    gateways: Gateways

    async def __call__(self) -> LedgerReport:
        """Import first. What moves meanwhile may differ for a moment: then look again.

        Raises GatewayUnavailable.
        """
        payments, disagreeing = 0, []
        async for books in self.payment_books():
            payments += 1
            if not books.agree:
                disagreeing.append(books)
        async with self.unit_of_work() as uow:
            unbalanced = await uow.ledger.unbalanced(limit=SHOWN)
        return LedgerReport(
            payments,
            unbalanced,
            disagreeing[:SHOWN],
            await self.unexplained(limit=SHOWN),
            await self.compare_balances(),
        )

    async def payment_books(self, after: str | None = None) -> AsyncIterator[PaymentBooks]:
        """Of every payment, what its row says beside what the ledger has posted for it."""
        while True:
            async with self.unit_of_work() as uow:
                page = await uow.ledger.payment_books(after=after, limit=PAGE)
            for books in page:
                yield books
            if len(page) < PAGE:
                return
            after = page[-1].payment_id

    async def unexplained(self, *, limit: int) -> Sequence[UnexplainedTransaction]:
        """Of all accounts, as of the last import."""
        found: list[UnexplainedTransaction] = []
        async with self.unit_of_work() as uow:
            for book in balance_books(self.gateways):
                page = await uow.balance_transactions.unexplained(
                    book.name, after=None, limit=limit - len(found)
                )
                found += [UnexplainedTransaction(book.name, one) for one in page]
        return found

    async def compare_balances(self) -> Sequence[BalanceComparison]:
        """Raises GatewayUnavailable."""
        found = []
        for book in balance_books(self.gateways):
            try:
                held = {one.currency: one.total for one in await book.get_balance()}
            except GatewayFailed as error:
                raise GatewayUnavailable from error
            async with self.unit_of_work() as uow:
                posted = await uow.ledger.balances(account=Account.GATEWAY_CLEARING)
            cleared = {one.currency: one.amount for one in posted if one.gateway == book.name}
            found += [
                BalanceComparison(book.name, currency, cleared.get(currency, 0), held.get(currency, 0))
                for currency in sorted({**held, **cleared})
                if currency in cleared or held[currency]
            ]
        return found
