"""What the warehouse is told, as a CloudEvent 1.0 in structured JSON: to ship an order, or not to any more."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec

from adapters.cloudevents.payment_events import camel
from domain.orders.cart import Address, OrderLine
from domain.orders.order import Order
from domain.orders.webhooks.endpoint import FULFILMENT_CANCELED

SOURCE = "/orders"


class _Notice(msgspec.Struct, kw_only=True):
    specversion: str = "1.0"
    id: str
    source: str = SOURCE
    type: str
    subject: str
    time: datetime
    datacontenttype: str = "application/json"
    partitionkey: str
    traceparent: str | msgspec.UnsetType = msgspec.UNSET
    data: dict[str, Any]


def encode(
    notice: str, order: Order, event_id: str, now: datetime, *, traceparent: Callable[[], str | None]
) -> str:
    """Of the two for one order, the one with the higher `version` holds, in whatever order they come."""
    envelope = _Notice(
        id=event_id,
        type=notice,
        subject=order.order_id,
        time=now,
        partitionkey=order.order_id,
        traceparent=traceparent() or msgspec.UNSET,
        data={
            "orderId": order.order_id,
            "version": order.version,
            **(_canceled(order) if notice == FULFILMENT_CANCELED else _requested(order)),
        },
    )
    return msgspec.json.encode(envelope).decode()


def _canceled(order: Order) -> dict[str, Any]:
    cancellation = order.cancellation
    return {"status": order.status, "reason": cancellation.reason if cancellation else None}


def _requested(order: Order) -> dict[str, Any]:
    """What is to be shipped, and where to, as the order is now: personal data."""
    customer = order.customer
    return {
        "currency": order.currency,
        "totalAmount": order.total_amount,
        "amountPaid": order.amount_paid,
        "amountRefunded": order.amount_refunded,
        "lines": [_line(line) for line in order.lines],
        "recipient": customer.name if customer else None,
        "shippingAddress": _address(customer.shipping_address if customer else None),
        "metadata": order.metadata,
    }


def _line(line: OrderLine) -> dict[str, Any]:
    return {"sku": line.sku, "name": line.name, "quantity": line.quantity, "unitAmount": line.unit_amount}


def _address(address: Address | None) -> dict[str, Any] | None:
    if address is None:
        return None
    return {camel(name): value for name, value in msgspec.to_builtins(address).items()}
