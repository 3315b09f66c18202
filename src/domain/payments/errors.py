"""What the payment side answers where it does not do what was asked."""

from domain.shared.errors import Conflict, Forbidden, NotFound, Refused, Unavailable


class PaymentNotFound(NotFound):
    """There is no such payment."""

    code = "payment_not_found"


class RefundNotFound(NotFound):
    """There is no such refund."""

    code = "refund_not_found"


class PayoutNotFound(NotFound):
    """No gateway account has such a payout."""

    code = "payout_not_found"


class OrderTermsDiffer(Refused):
    """The order has another amount or currency, or cannot be paid now."""

    code = "order_terms_differ"


class OrderUnknown(Refused):
    """The order service knows no such order."""

    code = "order_unknown"


class OrderSnapshotMissing(Refused):
    """This caller's payments need the order's signed terms."""

    code = "order_snapshot_missing"


class OrderSnapshotInvalid(Refused):
    """The order's terms are not rightly signed, or too old."""

    code = "order_snapshot_invalid"


class OrderSnapshotStale(Refused):
    """The order has changed since its terms were signed."""

    code = "order_snapshot_stale"


class OrdersUnavailable(Unavailable):
    """The order service could not be asked back."""

    code = "orders_unavailable"


class PaymentInProgress(Conflict):
    """The order has a live payment already."""

    code = "payment_in_progress"


class OperationInFlight(Conflict):
    """Another call on this payment is with the gateway now."""

    code = "operation_in_flight"
    retry_after_seconds = 1


class PaymentStateForbids(Conflict):
    """The payment's present state does not allow this."""

    code = "payment_state_forbids"


class AuthorizationExpired(Conflict):
    """The authorization has lapsed; nothing can be captured any more."""

    code = "authorization_expired"


class MulticaptureUnavailable(Conflict):
    """The gateway allows one capture only on this payment."""

    code = "multicapture_unavailable"


class ChargeDisputed(Conflict):
    """The customer's bank has the payment in dispute, and the gateway allows no refund of it."""

    code = "charge_disputed"


class ChargeNotRefundable(Conflict):
    """The gateway allows no refund of this payment."""

    code = "charge_not_refundable"


class NothingToRefund(Conflict):
    """All that was captured is given back, or promised to refunds under way."""

    code = "nothing_to_refund"


class RefundStateForbids(Conflict):
    """The refund's present state does not allow this."""

    code = "refund_state_forbids"


class RefundNoLongerFits(Conflict):
    """Less is left of the payment by now than the refund asks for."""

    code = "refund_no_longer_fits"


class ApproverIsRequester(Forbidden):
    """Whoever asked for a refund does not approve it."""

    code = "approver_is_requester"


class ApprovalLimitExceeded(Forbidden):
    """The refund is above what the caller may approve."""

    code = "approval_limit_exceeded"


class TokenIdMissing(Forbidden):
    """A token without an id of its own (jti) approves nothing."""

    code = "token_id_missing"


class TokenUsed(Forbidden):
    """The token has approved another refund, and approves no second one."""

    code = "token_used"


class DisputeNotFound(NotFound):
    """There is no such dispute."""

    code = "dispute_not_found"


class CaptureExceedsAuthorized(Refused):
    """More than the authorized amount cannot be captured."""

    code = "capture_exceeds_authorized"


class RefundExceedsCaptured(Refused):
    """More than what was captured and not yet refunded cannot be refunded."""

    code = "refund_exceeds_captured"


class RefundReasonUnknown(Refused):
    """The reason is none of those that may be given."""

    code = "refund_reason_unknown"


class RefundNotPermitted(Refused):
    """No rule of the refund policy covers the caller."""

    code = "refund_not_permitted"


class RefundLimitExceeded(Refused):
    """The refund is above the caller's limits."""

    code = "refund_limit_exceeded"


class PaymentTooOld(Refused):
    """The payment is older than what the caller may refund."""

    code = "payment_too_old"


class CurrencyUnsupported(Refused):
    """The gateway does not charge in this currency."""

    code = "currency_unsupported"


class AmountTooSmall(Refused):
    """The gateway does not charge so little."""

    code = "amount_too_small"


class AmountTooLarge(Refused):
    """The gateway does not charge so much."""

    code = "amount_too_large"


class AmountNotRepresentable(Refused):
    """The gateway has no such amount in this currency."""

    code = "amount_not_representable"


class CurrencyDiffers(Refused):
    """The payment is in another currency."""

    code = "currency_differs"


class PaymentMethodNotFound(NotFound):
    """There is no such saved payment method."""

    code = "payment_method_not_found"


class PaymentMethodNotOwned(Refused):
    """The payment method belongs to another customer."""

    code = "payment_method_not_owned"


class PaymentMethodUnknown(Refused):
    """The gateway knows no such payment method."""

    code = "payment_method_unknown"


class PaymentMethodNotSaved(Refused):
    """A payment without the customer needs a method that this customer has saved."""

    code = "payment_method_not_saved"


class UserRequired(Refused):
    """Only a payment of a user can do this, for methods are saved with users."""

    code = "user_required"


class OffSessionForbidsSaving(Refused):
    """A method can be saved only while the customer is there."""

    code = "off_session_forbids_saving"


class StatementDescriptorInvalid(Refused):
    """Card networks do not take this text on a customer's statement."""

    code = "statement_descriptor_invalid"


class GatewayRefusedRequest(Refused):
    """The gateway refused the request; nothing was done."""

    code = "gateway_refused"


class GatewayUnavailable(Unavailable):
    """The gateway cannot be reached; nothing was begun."""

    code = "gateway_unavailable"
