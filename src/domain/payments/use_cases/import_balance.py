"""Post what only the gateway's own account of our balance tells, and tie the rest of it to what is posted.

Balance transactions are read by the times of their making, day by day until now, and then again from a
little before the newest that is known: late ones appear there. Each is kept once, so that it posts once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from domain.payments.balance import BalanceTransaction, ObjectBooks, entries_of
from domain.payments.errors import GatewayUnavailable
from domain.payments.gateway import GatewayFailed
from domain.payments.gateway_balance import BalanceBook, balance_books
from domain.payments.ledger import LedgerEntry
from domain.payments.ports import UnitOfWorkFactory
from domain.payments.routing import Gateways
from domain.shared.system import Clock, IdFactory

WINDOW = timedelta(days=1)
OVERLAP = timedelta(minutes=10)
"""How late a transaction may appear behind younger ones."""
TIED_AT_ONCE = 200
ROUNDS = 5
"""So many times TIED_AT_ONCE unexplained transactions are looked at in one go."""


@dataclass(frozen=True, slots=True)
class Imported:
    transactions: int = 0
    """That were new."""
    explained: int = 0
    """Objects whose movements at the gateway and in the ledger were found to be the same."""

    def __add__(self, other: "Imported") -> "Imported":
        return Imported(self.transactions + other.transactions, self.explained + other.explained)


@dataclass(frozen=True, slots=True)
class ImportBalanceHandler:
    unit_of_work: UnitOfWorkFactory
    gateways: Gateways
    clock: Clock
    ids: IdFactory

    async def __call__(self, *, since: datetime | None = None) -> Imported:
        """Import what is new at each account, or all `since` that time; several may do so at once.

        Raises GatewayUnavailable, after the others, where an account could not be read to the end.
        """
        imported, failure = Imported(), None
        for book in balance_books(self.gateways):
            try:
                imported += await self._import(book, since)
            except GatewayFailed as error:
                failure = error
            imported += await self._tie(book.name)
        if failure is not None:
            raise GatewayUnavailable from failure
        return imported

    async def _import(self, book: BalanceBook, since: datetime | None) -> Imported:
        async with self.unit_of_work() as uow:
            known = await uow.balance_transactions.created_until(book.name)
            start = since or (known - OVERLAP if known else None)
            start = start or await uow.balance_transactions.oldest_payment(book.name)
        imported = Imported()
        while start is not None:
            is_last = start + WINDOW > self.clock.now()
            end = None if is_last else start + WINDOW
            newest, new = await self._read(book, start, end)
            imported += Imported(new)
            async with self.unit_of_work() as uow:
                await uow.balance_transactions.move(book.name, end or newest)
                await uow.commit()
            start = end
        return imported

    async def _read(self, book: BalanceBook, start: datetime, end: datetime | None) -> tuple[datetime, int]:
        """Keep all of this time; when the newest was made, and how many were not known."""
        after, newest, new = None, start, 0
        while True:
            page = await book.list_balance_transactions(created_from=start, created_before=end, after=after)
            new += await self._keep(book.name, page.transactions)
            for one in page.transactions:
                newest, after = max(newest, one.created_at), one.transaction_id
            if not page.more:
                return newest, new

    async def _keep(self, gateway: str, transactions: Sequence[BalanceTransaction]) -> int:
        async with self.unit_of_work() as uow:
            new = await uow.balance_transactions.add(gateway, transactions)
            objects = {one.source_id for one in new if one.source_id is not None}
            known = {one.gateway_object: one for one in await uow.ledger.of_objects(gateway, objects)}
            entries = [
                entry
                for one in new
                for entry in entries_of(one, gateway, known.get(one.source_id or ""), self.ids.event_id)
            ]
            await uow.ledger.post(entries)
            await uow.commit()
        return len(new)

    async def _tie(self, gateway: str) -> Imported:
        """Find what explains the transactions that nothing explained yet."""
        now, explained = self.clock.now(), 0
        for _ in range(ROUNDS):
            async with self.unit_of_work() as uow:
                taken = await uow.balance_transactions.take_unexplained(gateway, now=now, limit=TIED_AT_ONCE)
                tied: list[ObjectBooks] = []
                exchanges: list[LedgerEntry] = []
                for books in taken:
                    exchange = None if books.agree else books.exchange(self.ids.event_id)
                    if exchange is not None:
                        exchanges.append(exchange)
                    if books.agree or exchange is not None:
                        tied.append(books)
                await uow.ledger.post(exchanges)
                await uow.balance_transactions.explained(tied)
                await uow.commit()
            explained += len(tied)
            if not taken:
                break
        return Imported(explained=explained)
