"""Keep what a comparison has found: open findings, see them again, end those that are gone."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from domain.reconciliation.finding import Action, Difference, Finding, FindingStatus, FindingType
from domain.reconciliation.policy import RepairPolicy
from domain.reconciliation.ports import UnitOfWorkFactory
from domain.shared.system import Clock, IdFactory


@dataclass(frozen=True, slots=True)
class RecordDifferencesHandler:
    """The caller has looked twice, at settled views of both books: what it reports here counts."""

    unit_of_work: UnitOfWorkFactory
    policy: RepairPolicy
    clock: Clock
    ids: IdFactory

    async def __call__(
        self,
        differences: Sequence[Difference],
        *,
        examined: Collection[str],
        types: Collection[FindingType],
    ) -> list[Finding]:
        """The open findings of these differences, new and old, for whoever repairs.

        `examined` are the ids of all objects that were compared, and `types` what that comparison looks for:
        an open finding of these types on one of these objects that is not among the differences is gone.
        """
        if not examined:
            return []
        now = self.clock.now()
        open_now: list[Finding] = []
        async with self.unit_of_work() as uow:
            newest = {finding.key: finding for finding in await uow.findings.newest_of(examined)}
            for difference in differences:
                before = newest.pop(difference.key, None)
                if before is not None and before.status is FindingStatus.OPEN:
                    before.see_again(difference, now)
                    before.action = self.policy.action_for(difference)
                    await uow.findings.save(before)
                    open_now.append(before)
                elif before is None or not before.answers(difference):
                    action = self.policy.action_for(difference)
                    finding = Finding.of(difference, self.ids.new("fnd"), action, now)
                    if await uow.findings.add(finding) and finding.status is FindingStatus.OPEN:
                        open_now.append(finding)
            for finding in newest.values():
                if finding.status is not FindingStatus.OPEN or finding.type not in types:
                    continue
                if finding.action is Action.REFUND and finding.tries:
                    open_now.append(
                        finding
                    )  # the books agree by now, and the money is still to be given back
                    continue
                finding.vanish(now)
                await uow.findings.save(finding)
            await uow.commit()
        return open_now
