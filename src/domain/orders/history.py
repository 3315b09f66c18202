"""What happened to an order, one entry for each thing: the answer to "why does it stand where it stands?"

An order collects its entries as it collects its effects, and they are written in the transaction that did
the thing. Whoever changes an order calls `Order.note` with the cause. No entry holds personal data or a
secret: ids, names of things, amounts and times.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from domain.shared.callers import Caller
from domain.shared.payment_events import (
    DisputeClosed,
    DisputeOpened,
    LastError,
    PaymentAuthorized,
    PaymentCanceled,
    PaymentCaptured,
    PaymentEvent,
    PaymentFailed,
    PaymentRequiresAction,
    PaymentSucceeded,
    RefundFailed,
    RefundProcessed,
    RefundRejected,
)
from domain.shared.timeline import stamp

Details = Mapping[str, str | int | None]


class EntryKind(StrEnum):
    REQUEST = "REQUEST"
    """A client asked for it; `cause` is the request's id."""
    ANSWER = "ANSWER"
    """The payment side answered an attempt; `cause` is the attempt's id, which is its request's."""
    EVENT = "EVENT"
    """A payment event was applied; `cause` is the event's id."""
    EFFECT = "EFFECT"
    """Something the order asked for was carried out; `cause` is the effect's id."""
    SWEEP = "SWEEP"
    """Time passed, and a sweep acted on it."""


@dataclass(slots=True, kw_only=True)
class Entry:
    """One thing that happened. `name` says what: the request's verb, the event's or the effect's type."""

    kind: EntryKind
    name: str
    cause: str | None = None
    subject: str | None = None
    """Whose request it was: the token's `sub`."""
    actor: str | None = None
    """The service that acted for the subject."""
    before: str | None = None
    after: str | None = None
    """The order's status before and after; the same where it did not move, None before it was made."""
    rule: str | None = None
    """What allowed the change of status, or why there was none: a sentence's part for a support person."""
    payment_id: str | None = None
    sequence: int | None = None
    """The event's number in its payment's stream."""
    attention: str | None = None
    """The most urgent of what a person must look at from now on; the empty text where nothing is left."""
    attentions: tuple[str, ...] | None = None
    """All of it; None where it is as before, and in the entries of releases that knew one at a time."""
    details: Details = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """An entry as it is kept. `position` rises in the order in which an order's entries were committed."""

    order_id: str
    position: int
    at: datetime
    entry: Entry


@dataclass(frozen=True, slots=True)
class Step:
    """A change of status that is still to be noted with its cause."""

    before: str
    after: str
    rule: str


def requested(name: str, request_id: str | None, caller: Caller, **details: str | int | None) -> Entry:
    """What a client asked for; `name` is an imperative, as `confirm`.

    `request_id` is the same at every repetition by one idempotency key; the caller's own names the one call.
    """
    return Entry(
        kind=EntryKind.REQUEST,
        name=name,
        cause=request_id,
        subject=caller.subject,
        actor=caller.actor,
        details=details | ({"httpRequestId": caller.request_id} if caller.request_id else {}),
    )


RULES: Mapping[type[PaymentEvent], str] = {
    PaymentRequiresAction: "the customer has to act before the payment goes on",
    PaymentAuthorized: "the funds are held, and nothing is taken yet",
    PaymentSucceeded: "the money is taken",
    PaymentCaptured: "the final capture took the money",
    PaymentFailed: "the attempt to pay failed, and another may be made",
    PaymentCanceled: "the payment is canceled, and the order can be paid anew",
    RefundProcessed: "money was given back",
    RefundFailed: "a refund came to nothing: the money is here",
    RefundRejected: "a refund was not approved: the money is here",
}
"""Why an event moves an order, for a support person; `TRANSITIONS` says from where and to where."""


def applied(event: PaymentEvent, published_at: str | None) -> Entry:
    """A payment event that an order follows now."""
    return Entry(
        kind=EntryKind.EVENT,
        name=event.type,
        cause=str(event.event_id),
        payment_id=event.payment_id,
        sequence=event.sequence,
        details={
            **_details(event),
            "occurredAt": stamp(event.occurred_at),
            **({"publishedAt": published_at} if published_at else {}),
        },
    )


def _details(event: PaymentEvent) -> Details:
    match event:
        case PaymentFailed(last_error=LastError() as error):
            return {"code": error.code, "declineCode": error.decline_code}
        case RefundProcessed() | RefundFailed() | RefundRejected():
            return {"amount": event.amount, "refundId": event.refund_id}
        case PaymentCanceled() | DisputeOpened() | DisputeClosed():
            return {"reason": event.reason}
        case _:
            return {"amount": event.amount}


def answered(attempt_id: str, payment_id: str | None, outcome: str) -> Entry:
    """The payment side's answer to an attempt: the payment's status, or the code of a refusal."""
    return Entry(
        kind=EntryKind.ANSWER,
        name="payment",
        cause=attempt_id,
        payment_id=payment_id,
        details={"outcome": outcome},
    )


def carried_out(name: str, effect_id: str, **details: str | int | None) -> Entry:
    """Something that the order had asked the world outside for."""
    return Entry(kind=EntryKind.EFFECT, name=name, cause=effect_id, details=details)


def explain(entry: Entry, steps: list[Step]) -> Entry:
    """The entry with the changes of status that it is the cause of."""
    if steps:
        entry.before, entry.after = steps[0].before, steps[-1].after
        entry.rule = "; ".join(step.rule for step in steps)
    return entry
