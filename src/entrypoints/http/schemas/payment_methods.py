"""Queries and answers of the calls on saved payment methods."""

from datetime import datetime

from entrypoints.http.queries import Cursor, Limit
from entrypoints.http.schemas.values import Answered, Strict, UserId


class ListPaymentMethodsQuery(Strict):
    user_id: UserId | None = None
    limit: Limit = 20
    cursor: Cursor | None = None


class PaymentMethodAnswer(Answered):
    """A saved method. What its type has nothing of is null."""

    payment_method_token: str
    type: str
    """The gateway's word: `card`, `us_bank_account`, …"""
    brand: str | None
    last4: str | None
    exp_month: int | None
    exp_year: int | None
    created_at: datetime


class PaymentMethodPage(Answered):
    items: list[PaymentMethodAnswer]
    next_cursor: str | None
