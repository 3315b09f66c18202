"""Look at single objects of the gateway, fresh in both books; keep what differs, and repair it by the policy."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from domain.reconciliation.finding import Action, Difference, Finding, FindingStatus, Key
from domain.reconciliation.gateway import OBJECT_TYPES, Pair, compare
from domain.reconciliation.gateway_ports import GatewayBook, OwnBook, Repairs
from domain.reconciliation.policy import RepairPolicy
from domain.reconciliation.ports import UnitOfWorkFactory
from domain.reconciliation.use_cases.record_differences import RecordDifferencesHandler
from domain.shared.audit import AuditEntry
from domain.shared.errors import DomainError
from domain.shared.gateway_objects import ObjectKind, OwnObject
from domain.shared.system import Clock

MOST_TRIES = 5
"""After so many a person must look: whatever stands in the way does not pass."""


class Ref(NamedTuple):
    """Names one object of an account."""

    kind: ObjectKind
    gateway: str
    object_id: str


def ref_of(finding: Finding) -> Ref | None:
    """The object of a finding of this comparison; None for another's."""
    kind, object_id = finding.found.get("object"), finding.found.get("gatewayId")
    if kind is None or finding.gateway is None:
        return None
    return Ref(ObjectKind(str(kind)), finding.gateway, str(object_id))


@dataclass(slots=True)
class Examined:
    """What an examination came to."""

    objects: int = 0
    differences: list[tuple[Difference, Action]] = field(default_factory=list)
    """With what the policy has for each; those that somebody has decided about before are among them."""
    findings: list[Finding] = field(default_factory=list)
    """Open ones, new and old, before any repair."""
    repaired: list[Finding] = field(default_factory=list)
    unsettled: list[Ref] = field(default_factory=list)
    """They changed while they were looked at: another time."""


@dataclass(frozen=True, slots=True)
class ExamineObjectsHandler:
    own: OwnBook
    gateways: GatewayBook
    record: RecordDifferencesHandler
    repairs: Repairs
    unit_of_work: UnitOfWorkFactory
    policy: RepairPolicy
    clock: Clock
    repairer: str = "reconciler"
    """Who repairs, in the audit log."""

    async def __call__(
        self, refs: Sequence[Ref], missing: Mapping[Ref, str], *, apply: bool, done: Examined
    ) -> None:
        """Examine these, adding to `done`; `missing` are events of theirs that never came as webhooks.

        Without `apply` nothing is written. Raises Unavailable.
        """
        for ref in refs:
            pair = await self._look(ref)
            if pair is None:
                done.unsettled.append(ref)
                continue
            differences = compare(pair, missing.get(ref))
            done.objects += 1
            done.differences += [(one, self.policy.action_for(one)) for one in differences]
            if apply:
                await self._conclude(ref, pair, differences, missing.get(ref), done)

    async def _look(self, ref: Ref) -> Pair | None:
        """Both books on it; None where ours has changed while the gateway's was read, so that neither tells."""
        before = await self._own(ref)
        theirs = await self.gateways.get(ref.kind, ref.gateway, ref.object_id)
        ours = await self._own(ref)
        if before != ours:
            return None
        intent_id = theirs.intent_id if theirs else ours.stated.intent_id if ours else None
        payment = ours if ref.kind is ObjectKind.INTENT else None
        if payment is None and intent_id is not None and ref.kind is not ObjectKind.INTENT:
            intents = await self.own.of_objects(ObjectKind.INTENT, ref.gateway, [intent_id])
            payment = intents.get(intent_id)
        is_unsent = False
        if ours is None and theirs is not None and theirs.own_id is not None:
            is_unsent = theirs.own_id in await self.own.unsent(ref.kind, [theirs.own_id])
        return Pair(
            kind=ref.kind,
            gateway=ref.gateway,
            object_id=ref.object_id,
            ours=ours,
            theirs=theirs,
            payment=payment,
            is_unsent=is_unsent,
        )

    async def _own(self, ref: Ref) -> OwnObject | None:
        return (await self.own.of_objects(ref.kind, ref.gateway, [ref.object_id])).get(ref.object_id)

    async def _conclude(
        self, ref: Ref, pair: Pair, differences: Sequence[Difference], missing: str | None, done: Examined
    ) -> None:
        # An intent's findings go by our payment's id, and by its own where we had no payment then.
        findings = await self.record(
            differences, examined={pair.finding_id, ref.object_id}, types=OBJECT_TYPES[ref.kind]
        )
        done.findings += findings
        for finding in findings:
            if finding.action in (Action.APPLY, Action.REFUND) and finding.tries < MOST_TRIES:
                is_done, said = await self._try(finding, ref)
                again = await self._look(ref)
                left = {one.key for one in compare(again, missing)} if is_done and again else None
                if repaired := await self._note(finding, said, left):
                    done.repaired.append(repaired)

    async def _try(self, finding: Finding, ref: Ref) -> tuple[bool, str]:
        """Whether a repair was made, and what it did or why it could not."""
        try:
            said = await self.repairs.take_over(finding, ref.kind, ref.object_id)
            if finding.action is Action.REFUND:
                said = f"{said}; {await self.repairs.refund(finding)}"
        except DomainError as error:
            return False, f"{error.code}: {error.detail}"
        return True, said

    async def _note(self, tried: Finding, said: str, left: set[Key] | None) -> Finding | None:
        """Write what became of a repair; the finding where that has ended it. `left` is None where nobody knows."""
        now = self.clock.now()
        async with self.unit_of_work() as uow:
            finding = await uow.findings.lock(tried.finding_id)
            if finding is None or finding.status is not FindingStatus.OPEN:
                return None
            has_ended = left is not None and finding.key not in left
            if has_ended:
                finding.repair(finding.action, said, now)
                await uow.audit.append(_audit_entry(finding, self.repairer))
            else:
                finding.note_try(said, now)
            await uow.findings.save(finding)
            await uow.commit()
        return finding if has_ended else None


def _audit_entry(finding: Finding, repairer: str) -> AuditEntry:
    return AuditEntry(
        at=finding.last_seen if finding.closed_at is None else finding.closed_at,
        action="finding.repair",
        subject=repairer,
        object_type="finding",
        object_id=finding.finding_id,
        reason=f"{finding.type} of {finding.object_id}: {finding.note}",
        before=finding.expected,
        after=finding.found,
    )
