"""Who writes to customers."""

from dataclasses import dataclass

ORDER_ID = "{orderId}"
"""What the address of an order's page has in the place of the order's id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shop:
    """The name that customers know, the address that mails come from, and where an order is seen and paid."""

    name: str
    sender: str
    order_url: str | None = None
    """Has `{orderId}` in it; without one, customers are asked to go back to the shop."""
