"""A payment method that a customer has saved at the gateway."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedMethod:
    """What may be shown of it. `type` is the gateway's word (`card`, `us_bank_account`, …)."""

    token: str
    type: str
    created_at: datetime
    brand: str | None = None
    """None, as the next three, where this type of method has no such thing."""
    last4: str | None = None
    exp_month: int | None = None
    exp_year: int | None = None


@dataclass(frozen=True, slots=True)
class MethodPage:
    """Some of a customer's methods; `more` where there are further ones."""

    methods: Sequence[SavedMethod]
    more: bool
