"""Stripe's webhooks: signature, age and content (https://docs.stripe.com/webhooks#verify-manually)."""

import re
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, TypeGuard

import msgspec
import stripe

from adapters.stripe.event_types import EVENT_TYPES
from adapters.stripe.snapshots import Unreadable, object_id, timestamp
from domain.payments.gateway import GatewayEvent, Snapshot, UnreadableReport
from domain.payments.webhook import WebhookBodyInvalid, WebhookSignatureInvalid

_NAME = re.compile(r"[A-Za-z0-9_.\-]{1,255}")


class StripeWebhookVerifier:
    """See `domain.payments.webhook.WebhookVerifier`."""

    signature_header = "Stripe-Signature"

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
        return read_event(body)


def read_event(body: bytes) -> GatewayEvent:
    """The event in a body. Raises WebhookBodyInvalid.

    An object that payments follow and that cannot be read is no fault of the body: the event is kept,
    and read again by a version that knows it.
    """
    try:
        return _event(msgspec.json.decode(body))
    except (msgspec.DecodeError, RecursionError, Unreadable) as cause:
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
    if not _is_name(event_id) or not _is_name(event_type) or not isinstance(data, dict):
        raise Unreadable("an event without id, type or data")
    return GatewayEvent(
        event_id=event_id,
        type=event_type,
        created_at=timestamp(event.get("created")),
        snapshot=_snapshot(event_type, data.get("object")),
        is_known=event_type in EVENT_TYPES,
    )


def _is_name(value: object) -> TypeGuard[str]:
    """Whether it is an id or a type as Stripe makes them, which any database can keep."""
    return isinstance(value, str) and _NAME.fullmatch(value) is not None


def _snapshot(event_type: str, subject: Any) -> Snapshot | None:
    read = EVENT_TYPES.get(event_type)
    if read is None:
        return None
    if not isinstance(subject, dict):
        raise Unreadable("an event without an object")
    try:
        return read(subject)
    except Unreadable as fault:
        return UnreadableReport(intent_id=_intent_of(subject), fault=str(fault))


def _intent_of(subject: dict[str, Any]) -> str | None:
    name = "id" if subject.get("object") == "payment_intent" else "payment_intent"
    try:
        return object_id(subject, name)
    except Unreadable:
        return None
