"""Whether a gateway and the payment side agree on one object: pure, of two statements and what explains them.

What explains a difference is no finding: a call of ours in flight, and everything that is on its way for less
than the grace, which the caller waits for.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from domain.reconciliation.finding import Difference, FindingType, Value
from domain.shared.gateway_objects import GatewayObject, ObjectKind, OwnObject

_T = FindingType

OBJECT_TYPES: Mapping[ObjectKind, frozenset[FindingType]] = {
    ObjectKind.INTENT: frozenset(
        {
            _T.MISSING_WEBHOOK,
            _T.GATEWAY_SUCCEEDED,
            _T.GATEWAY_DID_NOT_SUCCEED,
            _T.AMOUNT_DIFFERS,
            _T.CURRENCY_DIFFERS,
            _T.STALE_AUTHORIZATION,
            _T.PAYMENT_ALTERED,
            _T.UNKNOWN_PAYMENT,
        }
    ),
    ObjectKind.REFUND: frozenset(
        {
            _T.MISSING_WEBHOOK,
            _T.GATEWAY_DID_NOT_SUCCEED,
            _T.AMOUNT_DIFFERS,
            _T.CURRENCY_DIFFERS,
            _T.REFUND_AT_GATEWAY,
        }
    ),
    ObjectKind.DISPUTE: frozenset({_T.MISSING_WEBHOOK, _T.GATEWAY_DID_NOT_SUCCEED, _T.UNKNOWN_DISPUTE}),
}
"""What is looked for in an object of each kind."""

_UNTRIED = frozenset({"REQUIRES_PAYMENT_METHOD", "REQUIRES_CONFIRMATION"})
_WAITING = _UNTRIED | {"REQUIRES_ACTION", "PROCESSING"}
_UNDONE = frozenset({"FAILED", "CANCELED"})
_HELD, _TAKEN, _CANCELED = "REQUIRES_CAPTURE", "SUCCEEDED", "CANCELED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One object in both books; None where a book does not have it."""

    kind: ObjectKind
    gateway: str
    object_id: str
    ours: OwnObject | None
    theirs: GatewayObject | None
    payment: OwnObject | None
    """Our payment whose intent it belongs to, or is."""
    is_unsent: bool = False
    """Whether our own object that its metadata names is there, and does not know its gateway id yet."""

    @property
    def finding_id(self) -> str:
        """What findings call it: a payment of ours by our id, anything else by the gateway's."""
        is_payment = self.kind is ObjectKind.INTENT and self.payment is not None
        return self.payment.payment_id if is_payment and self.payment else self.object_id


def compare(pair: Pair, missing: str | None = None) -> list[Difference]:
    """Where the books differ; `missing` is an event of this object that never came as a webhook."""
    altered = list(_altered(pair))
    found = list(_differences(pair))
    if missing is not None and not altered:
        found = [_of_missing_webhook(one, missing) for one in found]
    return [*altered, *(replace(one, by_hand=bool(altered)) for one in found)]


def _differences(pair: Pair) -> Iterator[Difference]:
    ours, theirs = pair.ours, pair.theirs
    if (ours is not None and ours.is_explained) or pair.is_unsent:
        return
    if theirs is None:
        if ours is not None:
            yield _difference(pair, _T.GATEWAY_DID_NOT_SUCCEED, {"exists": True}, {"exists": False})
        return
    if ours is None:
        yield from _unknown(pair, theirs)
        return
    if ours.stated.currency != theirs.currency:
        yield _difference(
            pair, _T.CURRENCY_DIFFERS, {"currency": ours.stated.currency}, {"currency": theirs.currency}
        )
    elif ours.stated.amount != theirs.amount and pair.kind is not ObjectKind.DISPUTE:
        yield _difference(pair, _T.AMOUNT_DIFFERS, {"amount": ours.stated.amount}, {"amount": theirs.amount})
    look = {ObjectKind.INTENT: _of_intent, ObjectKind.REFUND: _of_refund, ObjectKind.DISPUTE: _of_dispute}
    finding_type = look[pair.kind](ours.stated, theirs)
    if finding_type is not None:
        yield _difference(pair, finding_type, _facts(ours.stated), _facts(theirs))


def _of_intent(ours: GatewayObject, theirs: GatewayObject) -> FindingType | None:
    if ours.status == theirs.status:
        if ours.moved != theirs.moved:
            captured_in_parts = ours.status == _HELD and theirs.moved > ours.moved
            return _T.MISSING_WEBHOOK if captured_in_parts else _T.AMOUNT_DIFFERS
        another_failed = theirs.attempt not in (None, ours.attempt)
        return _T.MISSING_WEBHOOK if another_failed and ours.status in _UNTRIED else None
    if ours.status == _TAKEN:
        return _T.GATEWAY_DID_NOT_SUCCEED
    if ours.status == _CANCELED:
        if theirs.moved == ours.moved and theirs.status == _TAKEN:
            return None  # recorded with its money; the payment's attention says that the gateway contradicts itself
        return _T.GATEWAY_SUCCEEDED if theirs.moved > ours.moved else _T.GATEWAY_DID_NOT_SUCCEED
    if ours.status == _HELD:
        return _T.GATEWAY_SUCCEEDED if theirs.status == _TAKEN else _T.STALE_AUTHORIZATION
    if theirs.status in (_TAKEN, _HELD):
        return _T.GATEWAY_SUCCEEDED
    if {ours.status, theirs.status} <= _UNTRIED:
        another_failed = theirs.attempt not in (None, ours.attempt)
        return _T.MISSING_WEBHOOK if another_failed else None
    return _T.MISSING_WEBHOOK


def _of_refund(ours: GatewayObject, theirs: GatewayObject) -> FindingType | None:
    if ours.status == theirs.status:
        return None
    # A refund that succeeded may still be sent back by the bank; nothing else leaves a decided state.
    moved_on = ours.status == "PENDING" or (ours.status, theirs.status) == ("SUCCEEDED", "FAILED")
    return _T.MISSING_WEBHOOK if moved_on else _T.GATEWAY_DID_NOT_SUCCEED


def _of_dispute(ours: GatewayObject, theirs: GatewayObject) -> FindingType | None:
    same = (ours.status, ours.amount, ours.moved) == (theirs.status, theirs.amount, theirs.moved)
    return None if same else _T.MISSING_WEBHOOK


def _unknown(pair: Pair, theirs: GatewayObject) -> Iterator[Difference]:
    """An object that we do not have; what others made with the same account is none of ours."""
    if pair.kind is ObjectKind.INTENT:
        if theirs.own_id is not None:
            yield _difference(pair, _T.UNKNOWN_PAYMENT, {"exists": False}, _facts(theirs))
    elif pair.kind is ObjectKind.REFUND and theirs.own_id is not None and theirs.status in _UNDONE:
        return  # an attempt of ours at a refund that has another one by now: this one moved nothing
    elif pair.payment is not None:
        finding_type = {
            ObjectKind.DISPUTE: _T.UNKNOWN_DISPUTE,
            ObjectKind.REFUND: _T.REFUND_AT_GATEWAY if theirs.own_id is None else _T.MISSING_WEBHOOK,
        }[pair.kind]
        yield _difference(pair, finding_type, {"exists": False}, _facts(theirs))


def _altered(pair: Pair) -> Iterator[Difference]:
    """Only a hand makes a payment's row contradict its own events: both are written in one transaction."""
    ours = pair.ours
    if ours is None or pair.kind is not ObjectKind.INTENT:
        return
    told = ours.told
    if told is None and ours.sequence > 0:
        return  # its events are older than the log
    right: dict[str, Value] = {
        "sequence": told.sequence if told else 0,
        "amountCaptured": told.amount_captured if told else 0,
        "amountRefunded": told.amount_refunded if told else 0,
    }
    stored: dict[str, Value] = {
        "sequence": ours.sequence,
        "amountCaptured": ours.stated.moved,
        "amountRefunded": ours.amount_refunded,
    }
    if told is not None and told.amount_captured > 0 and ours.stated.status in _WAITING:
        right["status"], stored["status"] = _TAKEN, ours.stated.status
    if right != stored:
        wrong = [name for name in right if right[name] != stored[name]]
        yield replace(
            _difference(
                pair,
                _T.PAYMENT_ALTERED,
                {name: right[name] for name in wrong},
                {name: stored[name] for name in wrong},
            ),
            by_hand=True,
            note="the payment's row does not follow from its own events",
        )


def _facts(stated: GatewayObject) -> dict[str, Value]:
    facts: dict[str, Value] = {"status": stated.status, "amount": stated.amount}
    if stated.kind is ObjectKind.INTENT:
        facts["amountCaptured"] = stated.moved
    elif stated.kind is ObjectKind.DISPUTE:
        facts["amountWithdrawn"] = stated.moved
    return facts


def _difference(
    pair: Pair, finding_type: FindingType, expected: dict[str, Value], found: dict[str, Value]
) -> Difference:
    payment = pair.payment
    named: dict[str, Value] = {"object": pair.kind.value, "gatewayId": pair.object_id}
    return Difference(
        type=finding_type,
        object_id=pair.finding_id,
        gateway=pair.gateway,
        payment_id=payment.payment_id if payment else None,
        order_id=payment.order_id if payment else None,
        expected=expected,
        found={**named, **found},
    )


def _of_missing_webhook(difference: Difference, event_id: str) -> Difference:
    """The same, where an event tells of the change. A refund or a dispute that is new to us stays called so."""
    if difference.type not in (_T.GATEWAY_SUCCEEDED, _T.STALE_AUTHORIZATION, _T.MISSING_WEBHOOK):
        return difference
    found = {**difference.found, "gatewayEventId": event_id}
    return replace(difference, type=_T.MISSING_WEBHOOK, found=found)
