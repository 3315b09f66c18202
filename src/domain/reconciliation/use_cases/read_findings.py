"""Read findings, for operators."""

from collections.abc import Sequence
from dataclasses import dataclass

from domain.reconciliation.finding import Finding
from domain.reconciliation.ports import FindingFilter, UnitOfWorkFactory


@dataclass(frozen=True, slots=True)
class ListFindingsHandler:
    """`databases` are those that findings are kept in, each once."""

    databases: Sequence[UnitOfWorkFactory]

    async def __call__(self, wanted: FindingFilter, *, after: str | None, limit: int) -> Sequence[Finding]:
        """At most `limit` findings, newest first, after the one named `after`. Raises Unavailable."""
        found: list[Finding] = []
        for unit_of_work in self.databases:
            async with unit_of_work() as uow:
                found += await uow.findings.list(wanted, after=after, limit=limit)
        return sorted(found, key=lambda finding: finding.finding_id, reverse=True)[:limit]
