"""Queries and answers of the ledger."""

from datetime import datetime
from typing import Annotated

from msgspec import Meta

from domain.payments.ledger import Account
from entrypoints.http.queries import Cursor, Limit
from entrypoints.http.schemas.values import Answered, CurrencyCode, OrderId, PaymentId, Strict


class ListBalancesQuery(Strict):
    at: Annotated[datetime, Meta(tz=True)] | None = None
    """As they were then: of what was posted before that time."""
    account: Account | None = None
    currency: CurrencyCode | None = None


class BalanceAnswer(Answered):
    """An account of one gateway account, in one currency. Amounts in minor units."""

    account: Account
    gateway: str
    currency: str
    debits: int
    credits: int
    amount: int
    """Debits less credits."""


class BalanceList(Answered):
    items: list[BalanceAnswer]
    next_cursor: str | None
    """Always null: they are few."""


class ListEntriesQuery(Strict):
    order_id: OrderId | None = None
    payment_id: PaymentId | None = None
    account: Account | None = None
    """That post something on this account."""
    limit: Limit = 20
    cursor: Cursor | None = None


class PostingAnswer(Answered):
    account: Account
    currency: str
    amount: int
    """In minor units: a debit is positive, a credit negative."""


class EntryAnswer(Answered):
    """One money fact. Its postings sum to zero in each currency, and nothing of it ever changes."""

    entry_id: str
    kind: str
    """`CAPTURE`, `REFUND`, `FEE`, `PAYOUT`, …"""
    source: str
    """The id of the payment event, the dispute's movement or the gateway's balance transaction."""
    gateway: str
    gateway_object: str | None
    """The charge, refund, dispute or payout at the gateway."""
    payment_id: str | None
    order_id: str | None
    posted_at: datetime
    postings: list[PostingAnswer]


class EntryPage(Answered):
    items: list[EntryAnswer]
    next_cursor: str | None
