"""Stripe's webhooks: signature, age and content.

https://docs.stripe.com/webhooks#verify-manually and https://docs.stripe.com/api/events/types.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import stripe

from adapters.stripe.snapshots import (
    Unreadable,
    dispute_snapshot,
    intent_snapshot,
    refund_snapshot,
    timestamp,
)
from domain.payments.gateway import GatewayEvent, Snapshot, WebhookBodyInvalid, WebhookSignatureInvalid

_FOLLOWED: dict[str, Callable[[Mapping[str, Any]], Snapshot]] = {
    "payment_intent.": intent_snapshot,
    "refund.": refund_snapshot,
    "charge.refund.": refund_snapshot,
    "charge.dispute.": dispute_snapshot,
}
"""What payments follow, by the beginning of the event's type; no other event has a snapshot.

The other `charge.*` events tell nothing more: the intent and the refunds carry all of it.
"""


class StripeWebhookVerifier:
    """See `domain.payments.gateway.WebhookVerifier`."""

    def __init__(
        self, *, secrets: Sequence[str], tolerance_seconds: float, clock: Callable[[], datetime]
    ) -> None:
        """`secrets` are all valid: while one is rotated, Stripe signs with the old and the new one.

        `tolerance_seconds` is how old a signature may be, against replays; Stripe's default is 300.
        """
        if not secrets:
            raise ValueError("at least one webhook secret is needed")
        self._secrets = tuple(secrets)
        self._tolerance_seconds = tolerance_seconds
        self._clock = clock

    def verify(self, body: bytes, signature: str) -> GatewayEvent:
        if not any(_is_signed(body, signature, secret) for secret in self._secrets):
            raise WebhookSignatureInvalid("signed with none of our secrets")
        age_seconds = self._clock().timestamp() - _signed_at(signature)
        if age_seconds > self._tolerance_seconds:
            raise WebhookSignatureInvalid(f"signed {age_seconds:.0f} s ago")
        return self.read(body)

    def read(self, body: bytes) -> GatewayEvent:
        try:
            return _event(json.loads(body))
        except (ValueError, Unreadable) as cause:
            raise WebhookBodyInvalid(str(cause)) from cause


def _is_signed(body: bytes, signature: str, secret: str) -> bool:
    """By the package, without its check of the age: that reads the machine's clock, and ours is a port."""
    if not signature.isascii():
        return False  # The package's comparison in constant time takes ASCII only.
    try:
        stripe.WebhookSignature.verify_header(body, signature, secret, tolerance=None)
    except (stripe.SignatureVerificationError, UnicodeDecodeError):
        return False
    return True


def _signed_at(signature: str) -> int:
    """The signed time of a header that was verified, in seconds since 1970: the first `t`, as the package reads it."""
    return next(int(part.split("=")[1]) for part in signature.split(",") if part.split("=")[0] == "t")


def _event(event: object) -> GatewayEvent:
    """Raises Unreadable."""
    if not isinstance(event, dict) or event.get("object") != "event":
        raise Unreadable("not an event")
    event_id, event_type, data = event.get("id"), event.get("type"), event.get("data")
    if not isinstance(event_id, str) or not isinstance(event_type, str) or not isinstance(data, dict):
        raise Unreadable("an event without id, type or data")
    return GatewayEvent(
        event_id=event_id,
        type=event_type,
        created_at=timestamp(event.get("created")),
        snapshot=_snapshot(event_type, data.get("object")),
    )


def _snapshot(event_type: str, subject: Any) -> Snapshot | None:
    for beginning, read in _FOLLOWED.items():
        if event_type.startswith(beginning):
            return read(subject)
    return None
