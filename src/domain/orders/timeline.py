"""The timeline of an order: its history, told in sentences, joined with what the payment side and the
inboxes have to tell, causes before their consequences."""

import heapq
import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from domain.orders.attempt import Attempt, AttemptKind
from domain.orders.effects import EffectType
from domain.orders.history import Entry, EntryKind, Recorded
from domain.orders.messages import MessageKind, NotTold
from domain.orders.progress import DeliveryProgress, EffectProgress, EventProgress
from domain.shared.callers import Caller
from domain.shared.timeline import TimelineEntry, TimelineKind, ids_of, known, stamp

# What the history says

_KINDS: Mapping[EntryKind, TimelineKind] = {
    EntryKind.REQUEST: TimelineKind.REQUEST,
    EntryKind.ANSWER: TimelineKind.ATTEMPT,
    EntryKind.EVENT: TimelineKind.EVENT,
    EntryKind.EFFECT: TimelineKind.EFFECT,
    EntryKind.SWEEP: TimelineKind.SWEEP,
}
_REQUESTS: Mapping[str, str] = {
    "create": "The order was made",
    "change": "The draft was changed",
    "confirm": "Checkout was completed",
    "pay again": "Another attempt to pay was begun",
    "cancel": "The order was to be canceled",
    "refund": "Money was to be given back",
    "fulfil": "The order was reported as shipped",
    "acknowledge": "What a person had to look at was acknowledged",
    "erase": "The personal data of its customer was erased",
}
_SWEEPS: Mapping[str, str] = {"expire": "The checkout expired, for nobody had paid"}
_EFFECTS: Mapping[str, tuple[str, str]] = {
    "NotifyCustomer": ("The customer was told", "The customer is to be told"),
    "NotifyWarehouse": ("The warehouse was told", "The warehouse is to be told"),
    "warehouse accepted": ("The warehouse took the order on", "The warehouse is to take the order on"),
    "Restock": ("The goods went back into stock", "The goods are to go back into stock"),
}


def tell(recorded: Recorded) -> TimelineEntry:
    """An entry of the history as `explain` and `stream` show it."""
    entry = recorded.entry
    return TimelineEntry(
        at=recorded.at,
        kind=_KINDS[entry.kind],
        title=f"{_what(entry)}{_moved(entry)}.{_attention(entry)}",
        reason=entry.rule,
        ids=ids_of(**{_CAUSES[entry.kind]: entry.cause or None}, paymentId=entry.payment_id),
        details=known(
            name=entry.name,
            before=entry.before,
            after=entry.after,
            sequence=entry.sequence,
            subject=entry.subject,
            actor=entry.actor,
            attention=entry.attention,
            attentions=None if entry.attentions is None else ", ".join(entry.attentions),
            appliedAt=stamp(recorded.at) if entry.kind is EntryKind.EVENT else None,
            **entry.details,
        ),
        position=recorded.position,
    )


_CAUSES: Mapping[EntryKind, str] = {
    EntryKind.REQUEST: "requestId",
    EntryKind.ANSWER: "requestId",
    EntryKind.EVENT: "eventId",
    EntryKind.EFFECT: "effectId",
    EntryKind.SWEEP: "sweepId",
}


def _what(entry: Entry) -> str:
    match entry.kind:
        case EntryKind.REQUEST:
            return _REQUESTS.get(entry.name, f"A client asked for {entry.name}")
        case EntryKind.ANSWER:
            return f"The payment side answered {entry.details.get('outcome')}"
        case EntryKind.EFFECT if entry.name == EffectType.NOTIFY_WAREHOUSE:
            return _WAREHOUSE.get(str(entry.details.get("told")), "The warehouse took the order on")
        case EntryKind.EFFECT if told := entry.details.get("told"):
            return _TOLD.get(str(told), f"The customer was told {told}")  # of a later version
        case EntryKind.EFFECT:
            return _EFFECTS[entry.name][0] if entry.name in _EFFECTS else entry.name
        case EntryKind.SWEEP:
            return _SWEEPS.get(entry.name, entry.name)
        case _:
            return entry.name


_WAREHOUSE: Mapping[str, str] = {
    "FulfilmentRequested": "The warehouse was asked to ship the order",
    "FulfilmentCanceled": "The warehouse was told not to ship the order any more",
    "OVERTAKEN": "The warehouse was not told, for the order had moved on by then",
}
_TOLD: Mapping[str, str] = {
    MessageKind.PAID: "The customer was told that the payment was received",
    MessageKind.PAYMENT_FAILED: "The customer was told that the payment failed, and asked to try again",
    MessageKind.ACTION_NEEDED: "The customer was asked to confirm the payment",
    MessageKind.REFUNDED: "The customer was told of the refund",
    MessageKind.CANCELED: "The customer was told that the order is canceled",
    NotTold.NO_ADDRESS: "The customer was not told, for the order has no e-mail address",
    NotTold.OVERTAKEN: "The customer was not told, for the order had moved on by then",
    NotTold.NO_MAIL_SERVER: "The customer was not told, for no mail server is configured",
}


def _moved(entry: Entry) -> str:
    if entry.before == entry.after or entry.after is None:
        return f": the order stays {entry.after}" if entry.kind is EntryKind.EVENT else ""
    return f": {entry.before} → {entry.after}"


def _attention(entry: Entry) -> str:
    if entry.attention is None:
        return ""
    if not entry.attention:
        return " Nothing is left to look at."
    return f" A person must look at it: {', '.join(entry.attentions or (entry.attention,))}."


# What else is known


def build(
    history: Sequence[Recorded],
    *,
    story: Sequence[TimelineEntry],
    effects: Sequence[EffectProgress],
    waiting: Sequence[EventProgress],
    deliveries: Sequence[DeliveryProgress] = (),
    attempts: Sequence[Attempt] = (),
) -> list[TimelineEntry]:
    """One timeline of all there is. `story` is the payment side's; `attempts` are those without an answer."""
    committed = {entry.ids["eventId"]: entry for entry in story if entry.kind is TimelineKind.EVENT}
    held = {str(one.event_id): one for one in waiting}
    asked = {str(one.effect_id): one for one in effects}
    told = [_joined(tell(recorded), committed, asked) for recorded in history]
    applied = {entry.ids.get("eventId") for entry in told}
    carried_out = {entry.ids.get("effectId") for entry in told}
    entries = [
        *told,
        *(
            _held(entry, held.get(entry.ids.get("eventId", "")))
            for entry in story
            if entry.ids.get("eventId", "-") not in applied
        ),
        *(_effect(one) for one in effects if str(one.effect_id) not in carried_out),
        *map(_delivery, deliveries),
        *map(_open, attempts),
    ]
    return in_causal_order(entries, _chains(entries, effects))


def _joined(
    entry: TimelineEntry, committed: Mapping[str, TimelineEntry], asked: Mapping[str, EffectProgress]
) -> TimelineEntry:
    """The history's entry with what the payment side or the inbox knows of the same thing."""
    if event := committed.get(entry.ids.get("eventId", "")):
        return replace(entry, ids={**event.ids, **entry.ids}, details={**event.details, **entry.details})
    if effect := asked.get(entry.ids.get("effectId", "")):
        return replace(entry, details={**entry.details, **_progress(effect)})
    return entry


def _held(entry: TimelineEntry, progress: EventProgress | None) -> TimelineEntry:
    """An event that the order has not followed, and what is known of the reason."""
    if progress is None:
        return entry
    if progress.parked_at is not None:
        title = "is parked: an operator must retry or skip it"
    elif progress.due_at is not None:
        title = "failed, and is tried again"
    else:
        title = "waits for the events before it"
    return replace(
        entry,
        title=f"{entry.details['type']} {title}.",
        reason=progress.cause,
        details={
            **entry.details,
            **known(
                attempts=progress.attempts,
                dueAt=stamp(progress.due_at),
                parkedAt=stamp(progress.parked_at),
            ),
        },
    )


def _effect(effect: EffectProgress) -> TimelineEntry:
    reason: str | None = None
    done, to_do = _EFFECTS.get(effect.type, (f"{effect.type} was carried out", f"{effect.type} is asked for"))
    if effect.skip_reason is not None:
        title, reason = f"{to_do}: an operator skipped it", effect.skip_reason
    elif effect.parked_at is not None:
        title, reason = f"{to_do}: parked, an operator must retry or skip it", effect.cause
    elif effect.done_at is not None:
        title = done
    elif effect.cause is not None:
        title, reason = f"{to_do}: it failed, and is tried again", effect.cause
    else:
        title = f"{to_do}: on its way"
    return TimelineEntry(
        at=effect.done_at or effect.parked_at or effect.asked_at,
        kind=TimelineKind.EFFECT,
        title=f"{title} ({effect.about}).",
        reason=reason,
        ids=ids_of(
            effectId=str(effect.effect_id), eventId=str(effect.caused_by) if effect.caused_by else None
        ),
        details=known(name=effect.type, **_progress(effect)),
    )


def _progress(effect: EffectProgress) -> dict[str, str | int | bool | None]:
    return known(
        consumer=effect.consumer,
        askedAt=stamp(effect.asked_at),
        receivedAt=stamp(effect.received_at),
        attempts=effect.attempts or None,
        doneAt=stamp(effect.done_at),
        dueAt=None if effect.done_at else stamp(effect.due_at),
        parkedAt=stamp(effect.parked_at),
    )


def _delivery(delivery: DeliveryProgress) -> TimelineEntry:
    if delivery.status == "DELIVERED":
        title = "reached an endpoint outside"
    elif delivery.status == "FAILED":
        title = "could not be delivered: an operator may replay it"
    elif delivery.tries:
        title = "was not taken by an endpoint outside, and is sent again"
    else:
        title = "is on its way to an endpoint outside"
    answer = f"HTTP {delivery.http_status}" if delivery.http_status else None
    return TimelineEntry(
        at=delivery.finished_at or delivery.created_at,
        kind=TimelineKind.DELIVERY,
        title=f"The webhook {delivery.event_type} {title}.",
        reason=delivery.error or answer,
        ids={
            "deliveryId": delivery.delivery_id,
            "endpointId": delivery.endpoint_id,
            "eventId": delivery.event_id,
        },
        details=known(
            status=delivery.status,
            attempts=delivery.tries,
            createdAt=stamp(delivery.created_at),
            dueAt=stamp(delivery.due_at),
        ),
    )


_ASKED: Mapping[AttemptKind, str] = {
    AttemptKind.CREATE: "The payment side was asked for a payment",
    AttemptKind.CONFIRM: "The payment side was asked to confirm the payment",
    AttemptKind.CANCEL: "The payment side was asked to cancel the payment",
    AttemptKind.REFUND: "The payment side was asked to give money back",
}


def _open(attempt: Attempt) -> TimelineEntry:
    return TimelineEntry(
        at=attempt.created_at,
        kind=TimelineKind.ATTEMPT,
        title=f"{_ASKED[attempt.kind]}: it has not answered yet, and is asked again.",
        ids=ids_of(requestId=attempt.attempt_id, paymentId=attempt.payment_id),
        details=known(
            kind=attempt.kind.value,
            amount=attempt.amount,
            requestedBy=attempt.requested_by,
            nextCheckAt=stamp(attempt.next_check_at),
        ),
    )


# Order


def _chains(entries: Sequence[TimelineEntry], effects: Sequence[EffectProgress]) -> list[list[int]]:
    """What is known to have come one after the other, whatever the clocks of two services say."""
    history = [number for number, entry in enumerate(entries) if entry.position is not None]
    on_payment_side = sorted(
        (number for number, entry in enumerate(entries) if entry.kind in _OF_PAYMENTS),
        key=lambda number: (_payment_time(entries[number]), _OF_PAYMENTS.index(entries[number].kind)),
    )
    chains = [history, on_payment_side]
    by_request: dict[str, dict[TimelineKind, list[int]]] = {}
    by_event: dict[str, int] = {}
    for number, entry in enumerate(entries):
        if request_id := entry.ids.get("requestId"):
            by_request.setdefault(request_id, {}).setdefault(entry.kind, []).append(number)
        if entry.kind is TimelineKind.EVENT:
            by_event[entry.ids["eventId"]] = number
    for found in by_request.values():
        first, last = (found.get(kind, [])[:1] for kind in (TimelineKind.REQUEST, TimelineKind.ATTEMPT))
        chains += [[*first, number, *last] for number in found.get(TimelineKind.OPERATION, [])]
    causes = {str(effect.effect_id): str(effect.caused_by) for effect in effects}
    for number, entry in enumerate(entries):
        if (
            entry.kind is TimelineKind.LEDGER
            and (told := by_event.get(str(entry.details.get("source")))) is not None
        ):
            chains.append([told, number])
        cause = by_event.get(causes.get(entry.ids.get("effectId", ""), ""))
        if entry.kind is TimelineKind.EFFECT and cause is not None:
            chains.append([cause, number])
    return chains


_OF_PAYMENTS = (
    TimelineKind.OPERATION,
    TimelineKind.REFUND,
    TimelineKind.WEBHOOK,
    TimelineKind.DISPUTE,
    TimelineKind.EVENT,
)
"""What the payment side tells, by its own clock; at the same time, in this order."""


def _payment_time(entry: TimelineEntry) -> str:
    """When it was on the payment side's clock, as a text that sorts."""
    if entry.kind is TimelineKind.EVENT:
        return str(entry.details.get("occurredAt") or entry.details.get("committedAt") or stamp(entry.at))
    return str(stamp(entry.at))


def in_causal_order(entries: Sequence[TimelineEntry], chains: Iterable[Sequence[int]]) -> list[TimelineEntry]:
    """By time, except that no member of a chain of numbers comes before the one ahead of it.

    Chains that contradict one another, as clocks that differ can make them, are broken at the earliest entry.
    """
    behind: dict[int, list[int]] = {}
    ahead = dict.fromkeys(range(len(entries)), 0)
    for chain in chains:
        for one, other in itertools.pairwise(chain):
            behind.setdefault(one, []).append(other)
            ahead[other] += 1
    ready = [(entries[number].at, number) for number, count in ahead.items() if count == 0]
    heapq.heapify(ready)
    ordered = []
    while ahead:
        number = heapq.heappop(ready)[1] if ready else min(ahead, key=lambda n: (entries[n].at, n))
        if ahead.pop(number, None) is None:
            continue  # taken out of its chain before
        ordered.append(entries[number])
        for other in behind.get(number, ()):
            if other in ahead:
                ahead[other] -= 1
                if ahead[other] == 0:
                    heapq.heappush(ready, (entries[other].at, other))
    return ordered


# Who may see what

_FOR_EVERYBODY = frozenset(
    {TimelineKind.REQUEST, TimelineKind.EVENT, TimelineKind.REFUND, TimelineKind.EFFECT, TimelineKind.SWEEP}
)
_IDS_FOR_EVERYBODY = frozenset({"requestId", "paymentId", "refundId", "eventId"})
_DETAILS_FOR_EVERYBODY = frozenset({"name", "before", "after", "amount", "code", "declineCode", "status"})


def seen_by(caller: Caller, entry: TimelineEntry) -> TimelineEntry | None:
    """What this caller may see of an entry of an order that is theirs to see; None for nothing of it.

    With `operations:read` all of it. Others see what was asked and what happened to the order and its
    money: neither who else asked, nor what a person must look at, nor calls, reports and failures inside.
    """
    if "operations:read" in caller.scopes:
        return entry
    if entry.kind not in _FOR_EVERYBODY:
        return None
    is_done = entry.position is not None or "doneAt" in entry.details
    if entry.kind in (TimelineKind.EVENT, TimelineKind.EFFECT) and not is_done:
        return None
    own = entry.kind is TimelineKind.REQUEST and entry.details.get("subject") == caller.subject
    shown = _DETAILS_FOR_EVERYBODY | ({"subject", "actor", "httpRequestId"} if own else frozenset())
    internal = "attention" in entry.details or entry.kind not in (TimelineKind.REQUEST, TimelineKind.REFUND)
    return replace(
        entry,
        title=entry.title.partition(". ")[0].rstrip(".") + ".",
        reason=None if internal else entry.reason,
        ids={name: value for name, value in entry.ids.items() if name in _IDS_FOR_EVERYBODY},
        details={name: value for name, value in entry.details.items() if name in shown},
    )
