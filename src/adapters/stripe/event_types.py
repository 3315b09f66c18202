"""Stripe's event types, and what becomes of each: one table (https://docs.stripe.com/api/events/types).

A type with a reader is followed: its object goes the one way in for gateway facts, whatever the type
says, so that types which overlap (`refund.updated`, `charge.refund.updated`) and come in any order do
no harm. A type with none is kept and does nothing, since another one tells the same. A type that
stands here not at all is kept too, and counted as unknown: somebody should look at what it is.
"""

from collections.abc import Callable, Mapping
from typing import Any

from adapters.stripe.snapshots import customer_deleted, dispute_snapshot, intent_snapshot, refund_snapshot
from domain.payments.gateway import Snapshot

Reader = Callable[[Mapping[str, Any]], Snapshot]

EVENT_TYPES: Mapping[str, Reader | None] = {
    # The intent carries its whole state, so each of these means the same: compare, and follow.
    "payment_intent.amount_capturable_updated": intent_snapshot,
    "payment_intent.canceled": intent_snapshot,
    "payment_intent.partially_funded": intent_snapshot,
    "payment_intent.payment_failed": intent_snapshot,
    "payment_intent.processing": intent_snapshot,
    "payment_intent.requires_action": intent_snapshot,
    "payment_intent.succeeded": intent_snapshot,
    # Nobody has tried it yet: the answer to its creation says as much.
    "payment_intent.created": None,
    "refund.created": refund_snapshot,
    "refund.failed": refund_snapshot,
    "refund.updated": refund_snapshot,
    "charge.refund.updated": refund_snapshot,
    "charge.dispute.closed": dispute_snapshot,
    "charge.dispute.created": dispute_snapshot,
    "charge.dispute.funds_reinstated": dispute_snapshot,
    "charge.dispute.funds_withdrawn": dispute_snapshot,
    "charge.dispute.updated": dispute_snapshot,
    # A charge's intent, its refunds and its disputes tell all of this.
    "charge.captured": None,
    "charge.expired": None,
    "charge.failed": None,
    "charge.pending": None,
    "charge.refunded": None,
    "charge.succeeded": None,
    "charge.updated": None,
    # The next payment of this user makes a new one.
    "customer.deleted": customer_deleted,
    "customer.created": None,
    "customer.updated": None,
    # Saved methods are asked for when they are wanted, and never kept here.
    "payment_method.attached": None,
    "payment_method.automatically_updated": None,
    "payment_method.detached": None,
    "payment_method.updated": None,
}

FOLLOWED_TYPES = tuple(name for name, read in EVENT_TYPES.items() if read is not None)
"""What to enable at Stripe's webhook endpoint: of the others nothing follows, and each costs a request."""
