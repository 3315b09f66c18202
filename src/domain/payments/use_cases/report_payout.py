"""What a payout is made of, to the cent."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from domain.payments.balance import BalanceTransaction, Payout
from domain.payments.errors import GatewayUnavailable, PayoutNotFound
from domain.payments.gateway import GatewayFailed
from domain.payments.gateway_balance import BalanceBook, balance_books
from domain.payments.ledger import LedgerEntry
from domain.payments.ports import UnitOfWorkFactory
from domain.payments.routing import Gateways


@dataclass(frozen=True, slots=True)
class PayoutPart:
    """A movement that the payout sends to the bank, and what the ledger has posted of it and its object."""

    transaction: BalanceTransaction
    entries: Sequence[LedgerEntry]
    explained: bool
    """Whether the ledger has posted as much as the gateway has moved."""


@dataclass(frozen=True, slots=True)
class PayoutReport:
    gateway: str
    payout: Payout
    parts: Sequence[PayoutPart]
    """None where the payout was made by hand: the gateway does not say what it is made of."""
    posted: bool
    """Whether the ledger has the payout itself."""

    @property
    def gross(self) -> int:
        return sum(part.transaction.amount for part in self.parts)

    @property
    def fees(self) -> int:
        return sum(part.transaction.fee for part in self.parts)

    @property
    def difference(self) -> int:
        """What the parts, less their fees, are more than the payout."""
        return self.gross - self.fees - self.payout.amount

    @property
    def ties(self) -> bool:
        """Whether the parts sum up to the payout, and the ledger has posted it and each of them."""
        return self.posted and self.difference == 0 and all(part.explained for part in self.parts)


@dataclass(frozen=True, slots=True)
class ReportPayoutHandler:
    unit_of_work: UnitOfWorkFactory
    gateways: Gateways

    async def __call__(self, payout_id: str) -> PayoutReport:
        """Raises PayoutNotFound, GatewayUnavailable."""
        try:
            for book in balance_books(self.gateways):
                payout = await book.find_payout(payout_id)
                if payout is not None:
                    return await self._report(book, payout)
        except GatewayFailed as error:
            raise GatewayUnavailable from error
        raise PayoutNotFound

    async def list(self, *, limit: int) -> Sequence[tuple[str, Payout]]:
        """The newest of each account, with the account's name. Raises GatewayUnavailable."""
        try:
            return [
                (book.name, payout)
                for book in balance_books(self.gateways)
                for payout in await book.list_payouts(limit=limit)
            ]
        except GatewayFailed as error:
            raise GatewayUnavailable from error

    async def _report(self, book: BalanceBook, payout: Payout) -> PayoutReport:
        parts = await _parts(book, payout.payout_id) if payout.automatic else []
        objects = {one.source_id for one in parts if one.source_id}
        ids = [one.transaction_id for one in parts]
        async with self.unit_of_work() as uow:
            found = [
                *await uow.ledger.of_objects(book.name, {*objects, payout.payout_id}),
                *await uow.ledger.of_sources(book.name, ids),
            ]
            explained = await uow.balance_transactions.explained_ids(book.name, ids)
        entries = list({entry.entry_id: entry for entry in found}.values())
        return PayoutReport(
            book.name,
            payout,
            [
                PayoutPart(
                    one,
                    [entry for entry in entries if _about(entry, one)],
                    one.transaction_id in explained,
                )
                for one in parts
            ],
            any(entry.gateway_object == payout.payout_id for entry in entries),
        )


async def _parts(book: BalanceBook, payout_id: str) -> Sequence[BalanceTransaction]:
    """What it is made of, the payout's own movement left out, whose fee is that of an instant payout."""
    found: list[BalanceTransaction] = []
    while True:
        after = found[-1].transaction_id if found else None
        page = await book.list_balance_transactions(payout_id=payout_id, after=after)
        found += page.transactions
        if not page.more:
            own = [replace(one, amount=0) for one in found if one.source_id == payout_id and one.fee]
            return own + [one for one in found if one.source_id != payout_id]


def _about(entry: LedgerEntry, transaction: BalanceTransaction) -> bool:
    if entry.source == transaction.transaction_id:
        return True
    return entry.gateway_object is not None and entry.gateway_object == transaction.source_id
