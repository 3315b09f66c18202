import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import stripe

from adapters.stripe.webhooks import StripeWebhookVerifier
from domain.payments.gateway import (
    CustomerDeleted,
    DisputeSnapshot,
    IntentSnapshot,
    RefundSnapshot,
    UnreadableReport,
)
from domain.payments.webhook import WebhookBodyInvalid, WebhookSignatureInvalid
from tests.unit.stripe.objects import DISPUTE, INTENT, REFUND, published

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
SECRET, OLD_SECRET = "whsec_new", "whsec_old"


def verifier(now: datetime = NOW) -> StripeWebhookVerifier:
    return StripeWebhookVerifier(secrets=[SECRET, OLD_SECRET], tolerance_seconds=300, clock=lambda: now)


def signed(body: bytes, secret: str = SECRET, at: datetime = NOW) -> str:
    header = stripe.WebhookSignature.generate_signature_header(
        body.decode(), secret, timestamp=int(at.timestamp())
    )
    assert isinstance(header, str)
    return header


def event(type_: str = "payment_intent.succeeded", subject: Any = INTENT, **changes: Any) -> bytes:
    whole = {
        "id": "evt_1",
        "object": "event",
        "type": type_,
        "created": 1_790_000_000,
        "data": {"object": subject},
        **changes,
    }
    return json.dumps(whole).encode()


@pytest.mark.parametrize(
    ("type_", "subject", "kind"),
    [
        ("payment_intent.succeeded", INTENT, IntentSnapshot),
        ("payment_intent.payment_failed", INTENT, IntentSnapshot),
        ("payment_intent.amount_capturable_updated", INTENT, IntentSnapshot),
        ("refund.created", REFUND, RefundSnapshot),
        ("refund.failed", REFUND, RefundSnapshot),
        ("charge.refund.updated", REFUND, RefundSnapshot),
        ("charge.dispute.created", DISPUTE, DisputeSnapshot),
        ("charge.dispute.funds_withdrawn", DISPUTE, DisputeSnapshot),
    ],
)
def test_events_that_payments_follow_have_a_snapshot(type_: str, subject: Any, kind: type) -> None:
    body = event(type_, subject)
    verified = verifier().verify(body, signed(body))
    assert (verified.event_id, verified.type) == ("evt_1", type_)
    assert verified.created_at == datetime.fromtimestamp(1_790_000_000, UTC)
    assert isinstance(verified.snapshot, kind)


@pytest.mark.parametrize(
    "type_", ["charge.refunded", "charge.succeeded", "customer.created", "something.new"]
)
def test_every_other_event_has_none(type_: str) -> None:
    body = event(type_, {"object": "whatever"})
    assert verifier().verify(body, signed(body)).snapshot is None


def test_stripe_s_published_event_can_be_read() -> None:
    body = json.dumps(published("event")).encode()
    assert verifier().verify(body, signed(body)).type == "plan.created"


@pytest.mark.parametrize("secret", [SECRET, OLD_SECRET])
def test_any_of_our_secrets_signs(secret: str) -> None:
    body = event()
    verifier().verify(body, signed(body, secret))


def test_both_signatures_of_a_rotation_may_stand_in_one_header() -> None:
    body = event()
    second = signed(body, OLD_SECRET).split(",")[1]
    verifier().verify(body, f"{signed(body, 'whsec_other')},{second}")


@pytest.mark.parametrize(
    "signature",
    [
        "",
        "nonsense",
        "t=1,v1=",
        "t=1",
        "v1=abc",
        "t=x,v1=abc",
        "t=1,v1=äöü",
        "=" * 100,
        signed(event(), "whsec_other"),
        signed(event()).replace("v1=", "v0="),
        signed(event(changed=True)),
    ],
)
def test_a_wrong_signature_is_refused(signature: str) -> None:
    with pytest.raises(WebhookSignatureInvalid):
        verifier().verify(event(), signature)


def test_a_body_that_is_not_text_was_not_signed() -> None:
    with pytest.raises(WebhookSignatureInvalid):
        verifier().verify(b"\xff" + event(), signed(event()))


def test_the_signature_covers_every_byte() -> None:
    body = event()
    with pytest.raises(WebhookSignatureInvalid):
        verifier().verify(body + b" ", signed(body))


@pytest.mark.parametrize(("age_seconds", "accepted"), [(0, True), (300, True), (301, False), (-3600, True)])
def test_the_age_is_measured_by_our_clock(age_seconds: int, accepted: bool) -> None:
    """A time ahead of ours is no replay; Stripe's own libraries accept it as well."""
    body = event()
    late = verifier(NOW + timedelta(seconds=age_seconds))
    if accepted:
        late.verify(body, signed(body))
    else:
        with pytest.raises(WebhookSignatureInvalid):
            late.verify(body, signed(body))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'"event"',
        b"{}",
        event(object="payment_intent"),
        event(id=None),
        event(type=1),
        event(created="now"),
        event(created=10**18),
        event(data=None),
        event(data={}),
        event(subject=None),
        event(id="evt\x00"),
        event(type="\ud800"),
        b'{"a":' * 100_000,
    ],
)
def test_a_signed_body_that_is_no_readable_event_is_invalid(body: bytes) -> None:
    with pytest.raises(WebhookBodyInvalid):
        verifier().verify(body, signed(body))


@pytest.mark.parametrize(
    ("type_", "subject", "intent_id"),
    [
        ("payment_intent.succeeded", REFUND, REFUND["payment_intent"]),
        ("payment_intent.succeeded", {**INTENT, "status": "requires_patience"}, INTENT["id"]),
        ("refund.updated", {**REFUND, "status": "maybe"}, REFUND["payment_intent"]),
        ("charge.dispute.closed", {**DISPUTE, "status": "maybe"}, DISPUTE["payment_intent"]),
        ("charge.dispute.closed", {"object": "dispute", "payment_intent": 7}, None),
    ],
)
def test_an_object_of_a_form_unknown_here_is_told_with_its_intent(
    type_: str, subject: Any, intent_id: str | None
) -> None:
    body = event(type_, subject)
    snapshot = verifier().verify(body, signed(body)).snapshot
    assert isinstance(snapshot, UnreadableReport)
    assert snapshot.intent_id == intent_id


def test_a_deleted_customer_is_told_with_our_user() -> None:
    deleted = {"object": "customer", "id": "cus_1", "metadata": {"userId": "u_1"}}
    body = event("customer.deleted", deleted)
    assert verifier().verify(body, signed(body)).snapshot == CustomerDeleted(
        gateway_customer_id="cus_1", user_id="u_1"
    )


@pytest.mark.parametrize(("type_", "is_known"), [("charge.succeeded", True), ("plan.created", False)])
def test_a_type_is_known_or_not(type_: str, is_known: bool) -> None:
    body = event(type_, {"object": "whatever"})
    assert verifier().verify(body, signed(body)).is_known is is_known


def test_a_verifier_without_a_secret_is_not_made() -> None:
    with pytest.raises(ValueError, match="secret"):
        StripeWebhookVerifier(secrets=[], tolerance_seconds=300, clock=lambda: NOW)
