"""Compare everything that was made in a range of time, in both directions: what the gateway lists with what we have."""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from domain.reconciliation.gateway import Pair, compare
from domain.reconciliation.gateway_ports import GatewayBook, ListedObject, OwnBook
from domain.reconciliation.matching import matched
from domain.reconciliation.use_cases.examine_objects import Ref
from domain.shared.gateway_objects import GatewayObject, ObjectKind, OwnObject

OWN_PAGE = 500
SLACK = timedelta(minutes=10)
"""How far apart the two books' times of one object lie at most, but for a few, which are then looked up one by one."""

Told = Callable[[int], None]


def _nobody(compared: int) -> None:
    return


@dataclass(frozen=True, slots=True)
class SweepGatewayHandler:
    own: OwnBook
    gateways: GatewayBook

    async def __call__(
        self, gateway: str, *, since: datetime, until: datetime, told: Told = _nobody
    ) -> AsyncIterator[Ref]:
        """What looks different in [since, until), to be examined; `told` hears how many payments were compared.

        Memory is bounded, whatever the range. Raises Unavailable.
        """
        for kind in ObjectKind:
            async for ours, theirs in matched(
                self._ours(kind, gateway, since, until),
                self._theirs(kind, gateway, since, until),
                slack=SLACK,
            ):
                if kind is ObjectKind.INTENT and ours is not None:
                    told(1)
                if ours is not None:
                    object_id = ours.stated.object_id
                    if theirs is None or self._differ(ours, theirs.stated):
                        yield Ref(kind, gateway, object_id)
                elif theirs is not None and await self._may_be_ours(theirs.stated):
                    yield Ref(kind, gateway, theirs.stated.object_id)

    @staticmethod
    def _differ(ours: OwnObject, theirs: GatewayObject) -> bool:
        pair = Pair(
            kind=theirs.kind,
            gateway=theirs.gateway,
            object_id=theirs.object_id,
            ours=ours,
            theirs=theirs,
            payment=ours,
        )
        return bool(compare(pair))

    async def _may_be_ours(self, theirs: GatewayObject) -> bool:
        """Whether something alone at the gateway concerns us: others may use the account too."""
        if theirs.own_id is not None:
            return True
        if theirs.kind is ObjectKind.INTENT or theirs.intent_id is None:
            return False
        return bool(await self.own.of_objects(ObjectKind.INTENT, theirs.gateway, [theirs.intent_id]))

    async def _ours(
        self, kind: ObjectKind, gateway: str, since: datetime, until: datetime
    ) -> AsyncIterator[Sequence[OwnObject]]:
        after: OwnObject | None = None
        while True:
            page = await self.own.page(kind, gateway, since=since, until=until, after=after, limit=OWN_PAGE)
            if page:
                yield page
            if len(page) < OWN_PAGE:
                return
            after = page[-1]

    async def _theirs(
        self, kind: ObjectKind, gateway: str, since: datetime, until: datetime
    ) -> AsyncIterator[Sequence[ListedObject]]:
        after: str | None = None
        while True:
            page = await self.gateways.page(kind, gateway, since=since, until=until, after=after)
            if page.objects:
                yield page.objects
            after = page.after
            if after is None:
                return
