"""A person says that nothing is left to do about a finding."""

from collections.abc import Sequence
from dataclasses import dataclass

from domain.reconciliation.errors import FindingClosed, FindingNotFound
from domain.reconciliation.finding import Finding, FindingStatus
from domain.reconciliation.ports import UnitOfWorkFactory
from domain.shared.audit import AuditEntry
from domain.shared.callers import Caller
from domain.shared.system import Clock


@dataclass(frozen=True, slots=True)
class SettleFindingHandler:
    """`databases` are those that findings are kept in, each once."""

    databases: Sequence[UnitOfWorkFactory]
    clock: Clock

    async def __call__(self, caller: Caller, finding_id: str, comment: str) -> Finding:
        """The same difference is not raised again; another one of the object is. Raises FindingNotFound, FindingClosed."""
        for unit_of_work in self.databases:
            async with unit_of_work() as uow:
                finding = await uow.findings.lock(finding_id)
                if finding is None:
                    continue
                if finding.status is not FindingStatus.OPEN:
                    raise FindingClosed(f"It is {finding.status}.")
                now = self.clock.now()
                finding.settle(caller.subject, comment, now)
                await uow.findings.save(finding)
                await uow.audit.append(
                    AuditEntry.of(
                        caller,
                        "finding.settle",
                        "finding",
                        finding_id,
                        at=now,
                        reason=comment,
                        before={"status": FindingStatus.OPEN.value},
                        after={"status": finding.status.value, "type": finding.type.value},
                    )
                )
                await uow.commit()
                return finding
        raise FindingNotFound
