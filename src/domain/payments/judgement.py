"""What a report about a payment's intent is worth that may be old or repeated."""

from domain.payments.gateway import IntentSnapshot, IntentStatus
from domain.payments.payment import Payment
from domain.payments.states import INTENT_TRANSITIONS
from domain.payments.verdict import Verdict

_S = IntentStatus


def judge(payment: Payment, snapshot: IntentSnapshot) -> Verdict:
    """What a report that may be old or repeated (a webhook, a late answer) is worth."""
    untried = snapshot.status in (_S.REQUIRES_PAYMENT_METHOD, _S.REQUIRES_CONFIRMATION)
    if untried and snapshot.last_error is None:
        return Verdict.NOTHING_NEW  # the answer to its creation says as much
    may_capture = payment.status in (_S.REQUIRES_CAPTURE, _S.CANCELED)
    if may_capture and snapshot.amount_captured > payment.amount_captured:
        # Captured amounts only grow, so that is new however late it comes; more may have been captured since.
        return Verdict.FETCH if snapshot.status is _S.REQUIRES_CAPTURE else Verdict.RECORDED
    if not INTENT_TRANSITIONS[payment.status] or _tells_the_same(payment, snapshot):
        return Verdict.NOTHING_NEW
    if snapshot.status not in (_S.REQUIRES_CAPTURE, _S.SUCCEEDED, _S.CANCELED):
        return Verdict.FETCH  # an intent can pass here twice: only the gateway knows which time this was
    return Verdict.FETCH if _lacks_details(payment, snapshot) else Verdict.RECORDED


def _lacks_details(payment: Payment, snapshot: IntentSnapshot) -> bool:
    """Whether the report (a webhook names its charge only) leaves out what our events must say."""
    if snapshot.status is _S.CANCELED and snapshot.charge_id in (None, payment.charge_id):
        return False
    lapse = snapshot.capture_before or payment.capture_before
    known_method = payment.method if snapshot.charge_id == payment.charge_id else None
    return (snapshot.method or known_method) is None or (
        snapshot.status is _S.REQUIRES_CAPTURE and lapse is None
    )


def knows(payment: Payment, snapshot: IntentSnapshot) -> bool:
    """Whether recording this current report would change nothing."""
    return _tells_the_same(payment, snapshot) and (snapshot.amount_captured, snapshot.amount_capturable) == (
        payment.amount_captured,
        payment.amount_capturable,
    )


def _tells_the_same(payment: Payment, snapshot: IntentSnapshot) -> bool:
    if snapshot.status != payment.status:
        return False
    if payment.status is _S.REQUIRES_PAYMENT_METHOD:
        return (snapshot.failed_charge_id or payment.failed_charge_id, snapshot.last_error) == (
            payment.failed_charge_id,
            payment.last_error,
        )
    return payment.status is not _S.REQUIRES_ACTION or snapshot.next_action == payment.next_action
