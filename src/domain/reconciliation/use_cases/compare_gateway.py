"""Compare the payments with their gateway: what its events tell of, what is still open, and all in turn.

A first look only suspects. What is suspected is examined, fresh in both books, once it is older than what may
be on its way; so nothing under load is a finding. Suspects are kept, for the next round may be another
process's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from domain.reconciliation.finding import Difference, FindingStatus, FindingType
from domain.reconciliation.gateway import OBJECT_TYPES, Pair, compare
from domain.reconciliation.gateway_ports import EventOfObject, GatewayBook, OwnBook, PlaceLost
from domain.reconciliation.ports import FindingFilter, UnitOfWorkFactory
from domain.reconciliation.use_cases.examine_objects import Examined, ExamineObjectsHandler, Ref, ref_of
from domain.reconciliation.use_cases.measure import round_of
from domain.reconciliation.use_cases.sweep_gateway import SweepGatewayHandler
from domain.shared.gateway_objects import GatewayObject, ObjectKind, OwnObject
from domain.shared.system import Clock

PAGES_OF_EVENTS = 50
"""In one round, of 100 events each; the next goes on from there."""
NEWEST = 1_000
"""Rows that are looked at in each round whatever became of them, and of the others as many in turn."""
OPEN_AT_ONCE = 50
"""Of the newest, and of the others, so many that are not final are fetched in one round, of each kind."""
FINAL = frozenset({"SUCCEEDED", "CANCELED", "FAILED", "REJECTED", "won", "warning_closed", "prevented"})
"""In which nothing is awaited; a lost dispute may be appealed."""
_EVER = datetime(1970, 1, 1, tzinfo=UTC)
MOST_SUSPECTS = 2_000
SWEEP_CALLS = 60
"""In one round; the next goes on from there."""
STUCK_AFTER = timedelta(minutes=20)
"""The outcome of a call is looked up from the first half minute on: this is a fault that does not pass."""
OVERLAP = timedelta(seconds=60)
"""Events can appear in the list behind younger ones, so that its end is read again."""
EXAMINED_AT_ONCE = 200
LOOK_AGAIN_AFTER = timedelta(seconds=60)
"""How often open findings are examined again."""


@dataclass(frozen=True, slots=True)
class Suspect:
    since: datetime
    event_id: str | None = None
    """An event of it that never came as a webhook."""


@dataclass(slots=True, kw_only=True)
class _Place:
    """How far the events of an account were read. All times are the events' own."""

    ends: dict[str, datetime] = field(default_factory=dict)
    """Of pages that were read; the oldest is where the next round begins."""
    seen: dict[str, datetime] = field(default_factory=dict)
    """What was read behind that."""

    since: datetime
    """Where to begin while there is no end yet."""

    @classmethod
    def read(cls, kept: Mapping[str, Any] | None, since: datetime) -> "_Place":
        if not kept:
            return cls(since=since)
        ends, seen = (
            {key: datetime.fromisoformat(at) for key, at in kept[part].items()} for part in ("ends", "seen")
        )
        return cls(ends=ends, seen=seen, since=datetime.fromisoformat(kept["since"]))

    def written(self) -> Mapping[str, Any]:
        ends, seen = ({key: at.isoformat() for key, at in part.items()} for part in (self.ends, self.seen))
        return {"ends": ends, "seen": seen, "since": self.since.isoformat()}

    @property
    def begin(self) -> str | None:
        return min(self.ends, key=lambda end: self.ends[end], default=None)

    def trim(self, before: datetime) -> None:
        """Forget what the next round need not read again: all but the last end that is so old."""
        ends = sorted(self.ends.items(), key=lambda end: end[1])
        old = [end for end in ends if end[1] <= before]
        self.ends = dict(ends[max(len(old) - 1, 0) :])
        begin = min(self.ends.values(), default=before)
        self.seen = {key: at for key, at in self.seen.items() if at >= begin}


@dataclass(frozen=True, slots=True)
class CompareGatewayHandler:
    own: OwnBook
    gateways: GatewayBook
    examine: ExamineObjectsHandler
    sweep: SweepGatewayHandler
    unit_of_work: UnitOfWorkFactory
    clock: Clock
    grace: timedelta
    """How long a webhook may be on its way."""
    sweep_every: timedelta
    sweep_back: timedelta
    """How far into the past a full sweep goes."""

    async def __call__(self) -> Examined:
        """One round of the continuous comparison; one process at a time. Raises Unavailable."""
        done = Examined()
        suspects = await self._suspects()
        for gateway in self.gateways.accounts:
            if self.gateways.is_listed(gateway):
                await self._events(gateway, suspects)
            await self._rows(gateway, suspects)
            if self.gateways.is_listed(gateway):
                await self._sweep_on(gateway, suspects)
        await self._open_findings(suspects)
        await self._examine(suspects, done)
        await self._stuck_calls(done)
        before = await self._cursor(round_of("gateway")) or {}
        completed_at, total = self.clock.now().isoformat(), before.get("total", 0) + done.objects
        value = {"completedAt": completed_at, "objects": done.objects, "total": total}
        await self._keep(round_of("gateway"), value)
        return done

    # What is suspected

    async def _suspects(self) -> dict[Ref, Suspect]:
        kept = await self._cursor("gateway: suspects") or {}
        return {
            Ref(ObjectKind(kind), gateway, object_id): Suspect(datetime.fromisoformat(since), event_id)
            for kind, gateway, object_id, since, event_id in kept.get("objects", ())
        }

    async def _keep_suspects(self, suspects: Mapping[Ref, Suspect]) -> None:
        oldest = sorted(suspects.items(), key=lambda one: one[1].since)[:MOST_SUSPECTS]
        objects = [[*ref, suspect.since.isoformat(), suspect.event_id] for ref, suspect in oldest]
        await self._keep("gateway: suspects", {"objects": objects})

    async def _events(self, gateway: str, suspects: dict[Ref, Suspect]) -> None:
        """Suspect what events tell of that never came as webhooks, up to those that may be on their way."""
        name = f"gateway: events of {gateway}"
        begin = self.clock.now() - self.grace - OVERLAP
        place = _Place.read(await self._cursor(name), begin)
        try:
            await self._follow(gateway, place, suspects)
        except PlaceLost:
            place = _Place(since=begin)
            await self._follow(gateway, place, suspects)
            await self._keep(f"gateway: sweep of {gateway}", {})  # what lies between, a sweep finds
        place.trim(begin)
        await self._keep(name, place.written())

    async def _follow(self, gateway: str, place: "_Place", suspects: dict[Ref, Suspect]) -> None:
        """Raises PlaceLost."""
        settled = self.clock.now() - self.grace
        after = place.begin
        for _ in range(PAGES_OF_EVENTS):
            page = await self.gateways.events(gateway, after=after, since=place.since)
            ripe = [one for one in page.events if one.created_at <= settled]
            await self._suspect(gateway, [one for one in ripe if one.event_id not in place.seen], suspects)
            for event in ripe:
                place.seen[event.event_id] = event.created_at
            if ripe:
                after = ripe[-1].event_id
                place.ends[after] = ripe[-1].created_at
            if len(ripe) < len(page.events) or not page.more:
                return

    async def _suspect(
        self, gateway: str, events: Sequence[EventOfObject], suspects: dict[Ref, Suspect]
    ) -> None:
        """Those of whose events we have never heard, unless we know what these tell by another way."""
        unheard = await self.own.unheard(gateway, [event.event_id for event in events])
        told = [(one, one.stated) for one in events if one.event_id in unheard and one.stated is not None]
        for kind in ObjectKind:
            wanted = {stated.object_id for _, stated in told if stated.kind is kind}
            ours = await self.own.of_objects(kind, gateway, sorted(wanted)) if wanted else {}
            for event, stated in told:
                if stated.kind is kind and _tells_news(stated, ours.get(stated.object_id)):
                    ref = Ref(kind, gateway, stated.object_id)
                    suspects[ref] = Suspect(event.created_at, event.event_id)

    async def _rows(self, gateway: str, suspects: dict[Ref, Suspect]) -> None:
        """Look at our newest rows in each round, and at the others in turn: what is not final is fetched, and
        what a hand has changed contradicts itself."""
        name = f"gateway: rows of {gateway}"
        kept = await self._cursor(name) or {}
        now = self.clock.now()
        kinds = list(ObjectKind) if self.gateways.is_listed(gateway) else [ObjectKind.INTENT]
        for kind in kinds:
            begin = now + timedelta(days=1)  # clocks differ
            newest = await self.own.page(kind, gateway, since=_EVER, until=begin, after=None, limit=NEWEST)
            await self._suspect_rows(kind, gateway, newest, OPEN_AT_ONCE, suspects)
            until = datetime.fromisoformat(kept[kind]) if kind in kept else begin
            rolling = await self.own.page(kind, gateway, since=_EVER, until=until, after=None, limit=NEWEST)
            looked_at = await self._suspect_rows(kind, gateway, rolling, OPEN_AT_ONCE, suspects)
            is_last = len(rolling) < NEWEST and looked_at == len(rolling)
            last = rolling[looked_at - 1].created_at if looked_at else None
            kept = {**kept, kind.value: begin.isoformat() if is_last or last is None else last.isoformat()}
        await self._keep(name, kept)

    async def _suspect_rows(
        self,
        kind: ObjectKind,
        gateway: str,
        rows: Sequence[OwnObject],
        calls: int,
        suspects: dict[Ref, Suspect],
    ) -> int:
        """How many of these rows were looked at before the calls were used up."""
        now = self.clock.now()
        for number, ours in enumerate(rows):
            ref = Ref(kind, gateway, ours.stated.object_id)
            if ref in suspects:
                continue
            theirs: GatewayObject | None = ours.stated
            is_due = ours.stated.status not in FINAL and ours.changed_at <= now - self.grace
            if is_due and not ours.is_explained:
                if calls == 0:
                    return number
                calls -= 1
                theirs = await self.gateways.get(kind, gateway, ref.object_id)
            pair = Pair(
                kind=kind,
                gateway=gateway,
                object_id=ref.object_id,
                ours=ours,
                theirs=theirs,
                payment=ours,
            )
            if compare(pair):
                suspects[ref] = Suspect(now)
        return len(rows)

    async def _sweep_on(self, gateway: str, suspects: dict[Ref, Suspect]) -> None:
        """A part of the full sweep: hour by hour into the past, and from the present again when its time comes."""
        name = f"gateway: sweep of {gateway}"
        kept = await self._cursor(name) or {}
        now = self.clock.now()
        begun = datetime.fromisoformat(kept["begun"]) if "begun" in kept else None
        if begun is None or now - begun >= self.sweep_every:
            begun, at = now, now
        else:
            at = datetime.fromisoformat(kept["at"])
        end, calls = begun - self.sweep_back, self.gateways.calls
        while at > end and self.gateways.calls - calls < SWEEP_CALLS:
            since = max(at - timedelta(hours=1), end)
            async for ref in self.sweep(gateway, since=since, until=at):
                suspects.setdefault(ref, Suspect(self.clock.now()))
            at = since
        await self._keep(name, {"begun": begun.isoformat(), "at": at.isoformat()})

    async def _open_findings(self, suspects: dict[Ref, Suspect]) -> None:
        """What was found before is examined again, now and then: it may be gone, or ready to be repaired."""
        kept, now = await self._cursor("gateway: open findings"), self.clock.now()
        if kept and now - datetime.fromisoformat(kept["at"]) < LOOK_AGAIN_AFTER:
            return
        async with self.unit_of_work() as uow:
            for finding_type in sorted(frozenset[FindingType]().union(*OBJECT_TYPES.values())):
                wanted = FindingFilter(status=FindingStatus.OPEN, type=finding_type)
                for finding in await uow.findings.list(wanted, after=None, limit=EXAMINED_AT_ONCE):
                    ref = ref_of(finding)
                    if ref is not None and ref.gateway in self.gateways.accounts:
                        suspects[ref] = Suspect(finding.first_seen)
            await uow.cursors.put("gateway: open findings", {"at": now.isoformat()}, now)
            await uow.commit()

    # What is known

    async def _examine(self, suspects: dict[Ref, Suspect], done: Examined) -> None:
        """Examine those that have been suspected for long enough, the oldest first, and keep the others."""
        await self._keep_suspects(suspects)
        settled = self.clock.now() - self.grace
        ripe = sorted((one.since, ref) for ref, one in suspects.items() if one.since <= settled)
        refs = [ref for _, ref in ripe[:EXAMINED_AT_ONCE]]
        missing = await self._missing()
        missing |= {ref: event_id for ref in refs if (event_id := suspects[ref].event_id) is not None}
        await self.examine(refs, missing, apply=True, done=done)
        over = set(refs).difference(done.unsettled)
        await self._keep_suspects({ref: one for ref, one in suspects.items() if ref not in over})

    async def _missing(self) -> dict[Ref, str]:
        """The events of open findings that were made for one: however their objects are come upon again."""
        wanted = FindingFilter(status=FindingStatus.OPEN, type=FindingType.MISSING_WEBHOOK)
        async with self.unit_of_work() as uow:
            findings = await uow.findings.list(wanted, after=None, limit=MOST_SUSPECTS)
        return {
            ref: str(event_id)
            for finding in findings
            if (ref := ref_of(finding)) and (event_id := finding.found.get("gatewayEventId")) is not None
        }

    async def _stuck_calls(self, done: Examined) -> None:
        differences = await self.stuck()
        async with self.unit_of_work() as uow:
            wanted = FindingFilter(status=FindingStatus.OPEN, type=FindingType.STUCK_OPERATION)
            before = await uow.findings.list(wanted, after=None, limit=EXAMINED_AT_ONCE)
        examined = {one.object_id for one in differences} | {one.object_id for one in before}
        done.findings += await self.examine.record(
            differences, examined=examined, types=[FindingType.STUCK_OPERATION]
        )

    async def stuck(self) -> Sequence[Difference]:
        """Calls to the gateway of which nobody knows the outcome for too long."""
        before = self.clock.now() - STUCK_AFTER
        return [
            Difference(
                type=FindingType.STUCK_OPERATION,
                object_id=one.operation_id,
                gateway=one.gateway,
                payment_id=one.payment_id,
                order_id=one.order_id,
                expected={"status": "SUCCEEDED"},
                found={"status": "UNKNOWN", "operation": one.kind, "since": one.since.isoformat()},
            )
            for one in await self.own.stuck_calls(before=before, limit=EXAMINED_AT_ONCE)
        ]

    async def _cursor(self, name: str) -> Mapping[str, Any] | None:
        async with self.unit_of_work() as uow:
            return await uow.cursors.get(name)

    async def _keep(self, name: str, value: Mapping[str, Any]) -> None:
        async with self.unit_of_work() as uow:
            await uow.cursors.put(name, value, self.clock.now())
            await uow.commit()


def _tells_news(stated: GatewayObject, ours: OwnObject | None) -> bool:
    """Whether the books may differ on what an event told: ours may also have gone on since."""
    if ours is None:
        return True
    pair = Pair(
        kind=stated.kind,
        gateway=stated.gateway,
        object_id=stated.object_id,
        ours=ours,
        theirs=stated,
        payment=ours,
    )
    return bool(compare(pair))
