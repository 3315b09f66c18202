"""What reconciliation has found about an order and its payments, for `explain`."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from domain.reconciliation.finding import Finding
from domain.reconciliation.ports import UnitOfWorkFactory
from domain.shared.timeline import Detail, TimelineEntry, TimelineKind, ids_of, known, stamp


@dataclass(frozen=True, slots=True)
class TellFindingsHandler:
    """`databases` are those that findings are kept in, each once."""

    databases: Sequence[UnitOfWorkFactory]

    async def __call__(self, order_id: str, payment_ids: Collection[str], /) -> Sequence[TimelineEntry]:
        """The oldest first. Raises Unavailable."""
        entries: list[TimelineEntry] = []
        for unit_of_work in self.databases:
            async with unit_of_work() as uow:
                entries += [told(one) for one in await uow.findings.of_order(order_id, payment_ids)]
        return sorted(entries, key=lambda entry: entry.at)


def told(finding: Finding) -> TimelineEntry:
    """The finding where it was first seen, with what has become of it."""
    facts: dict[str, Detail] = {f"expected.{name}": value for name, value in finding.expected.items()}
    facts |= {f"found.{name}": value for name, value in finding.found.items()}
    reason = f"{finding.status.lower()}: {finding.note}" if finding.note else finding.status.lower()
    return TimelineEntry(
        at=finding.first_seen,
        kind=TimelineKind.FINDING,
        title=f"A comparison of the books found: {finding.type.meaning}",
        reason=reason,
        ids=ids_of(findingId=finding.finding_id, paymentId=finding.payment_id),
        details={
            "type": finding.type.value,
            "status": finding.status.value,
            "action": finding.action.value,
            **facts,
            **known(
                lastSeenAt=stamp(finding.last_seen),
                closedAt=stamp(finding.closed_at),
                settledBy=finding.settled_by,
                comment=finding.comment,
            ),
        },
    )
