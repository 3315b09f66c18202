"""The ledger's own proof, as reconciliation asks for it."""

from collections.abc import Sequence
from dataclasses import dataclass

from domain.payments.use_cases.verify_ledger import VerifyLedgerHandler
from domain.reconciliation.use_cases.compare_ledger import Balance, Movement


@dataclass(frozen=True, slots=True)
class VerifiedLedger:
    verify: VerifyLedgerHandler

    async def balances(self) -> Sequence[Balance]:
        return [
            Balance(
                gateway=one.gateway,
                currency=one.currency,
                clearing=one.clearing,
                at_gateway=one.at_gateway,
            )
            for one in await self.verify.compare_balances()
        ]

    async def unexplained(self, limit: int) -> Sequence[Movement]:
        return [
            Movement(
                gateway=one.gateway,
                transaction_id=one.transaction.transaction_id,
                type=one.transaction.type,
                amount=one.transaction.amount,
                currency=one.transaction.currency,
                source_id=one.transaction.source_id,
                created_at=one.transaction.created_at,
            )
            for one in await self.verify.unexplained(limit=limit)
        ]

    async def faults(self) -> Sequence[str]:
        """Why it does not tie out, in sentences, for the daily summary. Raises GatewayUnavailable."""
        report = await self.verify()
        said = [f"entry {entry_id} does not sum to zero" for entry_id in report.unbalanced]
        said += [
            f"payment {books.payment_id} has other amounts than its postings" for books in report.disagreeing
        ]
        said += [
            f"{one.transaction.transaction_id} of {one.gateway} is explained by nothing"
            for one in report.unexplained
        ]
        said += [
            f"{one.gateway} holds {one.at_gateway} {one.currency}, and the ledger has {one.clearing}"
            for one in report.balances
            if one.difference
        ]
        return said
