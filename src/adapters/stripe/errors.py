"""Stripe's errors in the port's two words: refused, when nothing was done for certain, else unknown.

https://docs.stripe.com/error-low-level and https://docs.stripe.com/error-handling.
"""

import aiohttp
import stripe

from domain.payments.gateway import GatewayFailed, GatewayNotSent, GatewayRefused, GatewayUnknown

_PROVES_THAT_NOTHING_WAS_DONE = frozenset({400, 401, 402, 403, 404, 405, 413, 415, 422})
"""Documented by Stripe, or given by HTTP to a request that is not carried out.

No other 4xx says so: the same key in flight (409) may yet succeed; a proxy's time-out (408), a failed
dependency (424) or a limit (425, 429) may be met by a repetition of a call that had succeeded before;
and of one that nobody documented nothing is known.
"""

_POINTERS = {
    "amount": "/amount",
    "amount_to_capture": "/amount",
    "currency": "/currency",
    "payment_method": "/paymentMethodToken",
    "receipt_email": "/receiptEmail",
    "return_url": "/returnUrl",
    "setup_future_usage": "/setupFutureUsage",
    "statement_descriptor_suffix": "/statementDescriptorSuffix",
}
"""Stripe's parameters that are made of one field of a request to us."""

_NOT_CONNECTED = aiohttp.ClientConnectorError
"""There was no connection on which anything could have been sent."""


def translate(error: stripe.StripeError, call: str, secret: str) -> GatewayFailed:
    """What the error says about the call, which `call` names. The result never contains `secret`.

    Nor does it contain the answer's body, which the SDK quotes where it cannot read it.
    """
    body = error.json_body
    described = isinstance(body, dict) and isinstance(body.get("error"), dict)
    status = error.http_status
    if status == 409 or isinstance(error, stripe.IdempotencyError):
        return _unknown(error, call, outage=False)
    if not described or status not in _PROVES_THAT_NOTHING_WAS_DONE:
        return _unknown(error, call)
    if isinstance(error, stripe.RateLimitError):
        return _unknown(error, call)
    assert isinstance(body, dict)
    detail = body["error"]
    code, message, param = (
        _text(detail.get("code")) or _text(detail.get("type")) or f"http_{status}",
        _text(detail.get("message")) or "The gateway gave no reason.",
        _text(detail.get("param")),
    )
    return GatewayRefused(
        code, message.replace(secret, "***"), param=param, pointer=_POINTERS.get(param) if param else None
    )


def _unknown(error: stripe.StripeError, call: str, *, outage: bool = True) -> GatewayUnknown:
    """`GatewayNotSent` where no connection was made: these calls are tried once, so there was none before."""
    status = "no answer" if error.http_status is None else f"HTTP {error.http_status}"
    request = f", {error.request_id}" if error.request_id else ""
    cause = f", {type(error.__cause__).__name__}" if error.__cause__ else ""
    message = f"{call}: {type(error).__name__}, {status}{request}{cause}"
    if isinstance(error.__cause__, _NOT_CONNECTED):
        return GatewayNotSent(message)
    return GatewayUnknown(message, outage=outage)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
