"""Amounts are integers in the minor unit of their currency (ISO 4217); never floats, never decimals."""

from dataclasses import dataclass
from typing import Protocol

MAX_AMOUNT = 2**53 - 1
"""The largest integer that every JSON client reads exactly (RFC 8259, section 6)."""


@dataclass(frozen=True, slots=True)
class Currency:
    """An ISO 4217 currency: `exponent` decimals stand between the minor and the major unit (0, 2 or 3)."""

    code: str
    exponent: int

    def format(self, amount: int) -> str:
        """`amount` minor units for people: `12.34 EUR`, `1200 JPY`."""
        sign, digits = ("-" if amount < 0 else ""), str(abs(amount)).rjust(self.exponent + 1, "0")
        if self.exponent == 0:
            return f"{sign}{digits} {self.code}"
        return f"{sign}{digits[: -self.exponent]}.{digits[-self.exponent :]} {self.code}"


class Currencies(Protocol):
    def find(self, code: str) -> Currency | None:
        """The currency of this upper-case code, or None where ISO 4217 has no such money."""
        ...
