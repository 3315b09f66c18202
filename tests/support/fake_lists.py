"""What the fake gateway lists: its objects by the time of their making, and an event of each change."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from domain.payments.dispute_status import DisputeStatus
from domain.payments.gateway import (
    DisputeSnapshot,
    GatewayEvent,
    GatewayRefundStatus,
    GatewayRefused,
    IntentSnapshot,
    IntentStatus,
    RefundSnapshot,
)
from domain.payments.gateway_lists import LISTED_AT_ONCE, EventPage, Listed, ListedEvent, ListPage
from domain.shared.system import Clock

Snapshot = IntentSnapshot | RefundSnapshot | DisputeSnapshot

_TYPES: Mapping[IntentStatus, str] = {
    IntentStatus.REQUIRES_PAYMENT_METHOD: "payment_intent.payment_failed",
    IntentStatus.REQUIRES_ACTION: "payment_intent.requires_action",
    IntentStatus.PROCESSING: "payment_intent.processing",
    IntentStatus.REQUIRES_CAPTURE: "payment_intent.amount_capturable_updated",
    IntentStatus.SUCCEEDED: "payment_intent.succeeded",
    IntentStatus.CANCELED: "payment_intent.canceled",
}


def _encode(event: GatewayEvent) -> bytes:
    return event.event_id.encode()


@dataclass
class FakeLists:
    clock: Clock
    new_id: Callable[[str], str]
    created: dict[str, datetime] = field(default_factory=dict)
    """When each object was made, by its id."""
    events: list[ListedEvent] = field(default_factory=list)
    body_of: Callable[[GatewayEvent], bytes] = _encode
    """A test whose verifier reads bodies gives its own."""

    def make(self, object_id: str) -> None:
        self.created[object_id] = self.clock.now()

    def tell_intent(self, before: IntentSnapshot, after: IntentSnapshot) -> None:
        """An event of a change that the gateway tells of; like Stripe's it lacks the charge's details."""
        if replace(before, amount=after.amount) == after or after.status not in _TYPES:
            return
        self._tell(_TYPES[after.status], replace(after, method=None, capture_before=None, multicapture=None))

    def tell_refund(self, refund: RefundSnapshot) -> None:
        failed = refund.status is GatewayRefundStatus.FAILED
        self._tell("refund.failed" if failed else "refund.updated", refund)

    def tell_dispute(self, dispute: DisputeSnapshot, *, new: bool) -> None:
        closed = DisputeStatus(dispute.status).closed
        self._tell(f"charge.dispute.{'created' if new else 'closed' if closed else 'updated'}", dispute)

    def _tell(self, type: str, snapshot: Snapshot) -> None:
        event = GatewayEvent(
            event_id=self.new_id("evt"), type=type, created_at=self.clock.now(), snapshot=snapshot
        )
        self.events.append(ListedEvent(event, self.body_of(event)))

    def event_page(self, after: str | None, since: datetime) -> EventPage:
        if after is None:
            return EventPage([one for one in self.events if one.event.created_at >= since], more=False)
        ids = [one.event.event_id for one in self.events]
        if after not in ids:
            raise GatewayRefused("resource_missing", f"No such event: '{after}'", param="ending_before")
        behind = self.events[ids.index(after) + 1 :]
        return EventPage(behind[:LISTED_AT_ONCE], more=len(behind) > LISTED_AT_ONCE)

    def page(
        self, objects: Mapping[str, Snapshot], since: datetime, until: datetime, after: str | None
    ) -> ListPage:
        begin = since.replace(microsecond=0)
        chosen: Sequence[str] = [one for one in objects if begin <= self.created[one] < until][::-1]
        if after is not None:
            chosen = chosen[chosen.index(after) + 1 :]
        more = len(chosen) > LISTED_AT_ONCE
        items = [
            Listed(one, self.created[one].replace(microsecond=0), objects[one])
            for one in chosen[:LISTED_AT_ONCE]
        ]
        return ListPage(items, items[-1].object_id if more else None)
