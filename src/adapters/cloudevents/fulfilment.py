"""The fulfilment request as a CloudEvent 1.0 in structured JSON, for the warehouse alone."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec

from adapters.cloudevents.payment_events import camel
from domain.orders.cart import Address, OrderLine
from domain.orders.order import Order

SOURCE = "/orders"
TYPE = "FulfilmentRequested"


class _FulfilmentRequested(msgspec.Struct, kw_only=True):
    specversion: str = "1.0"
    id: str
    source: str = SOURCE
    type: str = TYPE
    subject: str
    time: datetime
    datacontenttype: str = "application/json"
    partitionkey: str
    traceparent: str | msgspec.UnsetType = msgspec.UNSET
    data: dict[str, Any]


def encode(order: Order, event_id: str, now: datetime, *, traceparent: Callable[[], str | None]) -> str:
    """What is to be shipped, and where to, as the order is now: personal data."""
    customer = order.customer
    envelope = _FulfilmentRequested(
        id=event_id,
        subject=order.order_id,
        time=now,
        partitionkey=order.order_id,
        traceparent=traceparent() or msgspec.UNSET,
        data={
            "orderId": order.order_id,
            "version": order.version,
            "currency": order.currency,
            "totalAmount": order.total_amount,
            "amountPaid": order.amount_paid,
            "amountRefunded": order.amount_refunded,
            "lines": [_line(line) for line in order.lines],
            "recipient": customer.name if customer else None,
            "shippingAddress": _address(customer.shipping_address if customer else None),
            "metadata": order.metadata,
        },
    )
    return msgspec.json.encode(envelope).decode()


def _line(line: OrderLine) -> dict[str, Any]:
    return {"sku": line.sku, "name": line.name, "quantity": line.quantity, "unitAmount": line.unit_amount}


def _address(address: Address | None) -> dict[str, Any] | None:
    if address is None:
        return None
    return {camel(name): value for name, value in msgspec.to_builtins(address).items()}
