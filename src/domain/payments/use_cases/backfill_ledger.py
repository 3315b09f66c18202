"""Post the money facts of payments from before there was a ledger, from their rows."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from domain.payments.ledger import EntryKind, LedgerEntry, postings_of
from domain.payments.ledger_ports import EntryFilter
from domain.payments.ports import UnitOfWorkFactory
from domain.payments.refund import RefundStatus
from domain.payments.story import PaymentStory
from domain.shared.audit import AuditEntry
from domain.shared.callers import Caller
from domain.shared.system import Clock, IdFactory

PAGE = 200
MOST_ENTRIES = 1000
"""Of one payment."""


@dataclass(frozen=True, slots=True)
class BackfillLedgerHandler:
    """To be run once no process of a release without the ledger runs any more; again it finds nothing.

    A part of a payment of which the ledger has anything (captures, one refund, one dispute) is left as it is:
    where that differs, something else is wrong, and `verify` says so.
    """

    unit_of_work: UnitOfWorkFactory
    clock: Clock
    ids: IdFactory

    async def __call__(self, caller: Caller) -> int:
        """How many entries were posted."""
        posted, after = 0, None
        while True:
            async with self.unit_of_work() as uow:
                page = await uow.ledger.payment_books(after=after, limit=PAGE)
            for books in page:
                if not books.agree:
                    posted += await self._post(books.payment_id, caller)
            if len(page) < PAGE:
                return posted
            after = page[-1].payment_id

    async def _post(self, payment_id: str, caller: Caller) -> int:
        async with self.unit_of_work() as uow:
            payment = await uow.payments.lock(payment_id)
            assert payment is not None, "a payment that took money is never removed"
            stories = await uow.stories.of_order(payment.order_id)
            (story,) = [one for one in stories if one.payment.payment_id == payment_id]
            wanted = EntryFilter(payment_id=payment_id)
            known = await uow.ledger.find(wanted, after=None, limit=MOST_ENTRIES)
            entries = list(_missing(story, known, self.ids))
            await uow.ledger.post(entries)
            if entries:
                after = {"entries": len(entries)}
                await uow.audit.append(
                    AuditEntry.of(
                        caller, "ledger.backfill", "payment", payment_id, at=self.clock.now(), after=after
                    )
                )
            await uow.commit()
        return len(entries)


def _missing(story: PaymentStory, known: Sequence[LedgerEntry], ids: IdFactory) -> Iterator[LedgerEntry]:
    payment = story.payment
    objects = {entry.gateway_object for entry in known}

    def entry(
        kind: EntryKind, amount: int, currency: str, at: datetime, source: str, gateway_object: str | None
    ) -> LedgerEntry:
        return LedgerEntry(
            entry_id=ids.event_id(),
            kind=kind,
            source=source,
            gateway=payment.gateway,
            posted_at=at,
            postings=postings_of(kind, amount, currency),
            gateway_object=gateway_object,
            payment_id=payment.payment_id,
            order_id=payment.order_id,
        )

    if payment.amount_captured and not any(one.kind is EntryKind.CAPTURE for one in known):
        yield entry(
            EntryKind.CAPTURE,
            payment.amount_captured,
            payment.currency,
            payment.created_at,
            payment.payment_id,
            payment.charge_id,
        )
    for refund in story.refunds:
        if refund.status is RefundStatus.SUCCEEDED and refund.gateway_refund_id not in objects:
            at, name = refund.updated_at, refund.gateway_refund_id
            yield entry(EntryKind.REFUND, refund.amount, refund.currency, at, refund.refund_id, name)
    for dispute in story.disputes:
        name = dispute.gateway_dispute_id
        if dispute.amount_withdrawn and dispute.movements == 0:
            amount, at = dispute.amount_withdrawn, dispute.opened_at
            yield entry(EntryKind.DISPUTE_WITHDRAWN, amount, dispute.currency, at, f"{name}#0", name)
