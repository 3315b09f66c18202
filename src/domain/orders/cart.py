"""What is ordered, and by whom."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    line1: str | None = None
    line2: str | None = None
    city: str | None = None
    state: str | None = None
    postal_code: str | None = None
    country: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Customer:
    """Who ordered; personal data."""

    name: str | None = None
    email: str | None = None
    billing_address: Address | None = None
    shipping_address: Address | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderLine:
    """`discount_amount` and `tax_amount` are of the whole line, in minor units."""

    sku: str
    name: str
    quantity: int
    unit_amount: int
    discount_amount: int = 0
    tax_amount: int = 0
    commodity_code: str | None = None
    unit_of_measure: str | None = None

    @property
    def subtotal_amount(self) -> int:
        return self.quantity * self.unit_amount

    @property
    def total_amount(self) -> int:
        return self.subtotal_amount - self.discount_amount + self.tax_amount
