"""The gateway's book and our own of it, as they are compared with each other, and what a repair may do."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from domain.reconciliation.finding import Finding
from domain.shared.gateway_objects import GatewayObject, ObjectKind, OwnObject, StuckCall


@dataclass(frozen=True, slots=True, kw_only=True)
class EventOfObject:
    """An event of the gateway's, and what it states; None where it is about nothing that is compared."""

    event_id: str
    created_at: datetime
    stated: GatewayObject | None


@dataclass(frozen=True, slots=True)
class EventsPage:
    """Oldest first."""

    events: Sequence[EventOfObject]
    more: bool


@dataclass(frozen=True, slots=True)
class ListedObject:
    """An object in the gateway's list, with the time of its making there."""

    created_at: datetime
    stated: GatewayObject


@dataclass(frozen=True, slots=True)
class ObjectsPage:
    """Newest first. `after` is where the next page begins; None: this was the last."""

    objects: Sequence[ListedObject]
    after: str | None


class PlaceLost(Exception):
    """The gateway no longer has the event that a list was to go on behind."""


class GatewayBook(Protocol):
    """Every coroutine keeps to the budget of calls, and raises Unavailable where the gateway does not tell."""

    @property
    def accounts(self) -> Sequence[str]:
        """Those whose objects can be looked up."""
        ...

    def is_listed(self, gateway: str) -> bool:
        """Whether this account has lists."""
        ...

    @property
    def calls(self) -> int:
        """How many were made so far."""
        ...

    async def events(self, gateway: str, *, after: str | None, since: datetime) -> EventsPage:
        """A page of the events behind `after`, or all from `since` on where that is None. Raises PlaceLost."""
        ...

    async def page(
        self, kind: ObjectKind, gateway: str, *, since: datetime, until: datetime, after: str | None
    ) -> ObjectsPage:
        """Those created in [since, until), behind the page that ended in `after`."""
        ...

    async def get(self, kind: ObjectKind, gateway: str, object_id: str) -> GatewayObject | None:
        """The object as it is now; None where the gateway has none of this id."""
        ...


class OwnBook(Protocol):
    """What the payment side states of the gateway's objects. Raises Unavailable where its database is away."""

    async def page(
        self,
        kind: ObjectKind,
        gateway: str,
        *,
        since: datetime,
        until: datetime,
        after: OwnObject | None,
        limit: int,
    ) -> Sequence[OwnObject]:
        """Those that we created in [since, until) and that know their gateway id, newest first, behind `after`."""
        ...

    async def count(self, *, since: datetime, until: datetime) -> int:
        """How many payments were created in [since, until)."""
        ...

    async def of_objects(
        self, kind: ObjectKind, gateway: str, object_ids: Sequence[str]
    ) -> Mapping[str, OwnObject]:
        """By the gateway's ids."""
        ...

    async def unsent(self, kind: ObjectKind, own_ids: Sequence[str]) -> Collection[str]:
        """Which of these payments or refunds of ours are there and do not know their gateway id yet."""
        ...

    async def unheard(self, gateway: str, event_ids: Sequence[str]) -> Collection[str]:
        """Which of these events never came as a webhook."""
        ...

    async def stuck_calls(self, *, before: datetime, limit: int) -> Sequence[StuckCall]:
        """Calls to the gateway begun before that time, of which nobody knows what became."""
        ...


class Repairs(Protocol):
    """What may be done about a finding, through the payment side's own use cases, with an audit entry.

    Every coroutine says in words what it did, and raises what those raise.
    """

    async def take_over(self, finding: Finding, kind: ObjectKind, object_id: str) -> str:
        """Let the payment side take in what the gateway has of this object, as if its webhook came now."""
        ...

    async def refund(self, finding: Finding) -> str:
        """Give back all that the finding's payment has taken, under the refund policy."""
        ...
