"""The gateway's own account of our balance, and how it is tied to what the ledger has posted.

Amounts are signed, in minor units of the currency that the account is settled in, which need not be the
customer's.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from domain.payments.ledger import Account, EntryKind, LedgerEntry, Posting, exchanged, postings_of, sums


@dataclass(frozen=True, slots=True, kw_only=True)
class BalanceTransaction:
    """One movement of the balance, as the gateway tells of it (https://docs.stripe.com/api/balance_transactions)."""

    transaction_id: str
    type: str
    """The gateway's own word (https://docs.stripe.com/reports/balance-transaction-types)."""
    source_id: str | None
    """The charge, refund, dispute or payout that it is about."""
    amount: int
    """Gross: negative where money leaves."""
    fee: int
    """Taken besides; negative where it is given back."""
    currency: str
    created_at: datetime
    available_at: datetime
    exchange_rate: Decimal | None = None
    """Where the gateway changed the customer's currency into this one."""
    description: str | None = None

    @property
    def net(self) -> int:
        return self.amount - self.fee


@dataclass(frozen=True, slots=True)
class BalancePage:
    """Newest first."""

    transactions: Sequence[BalanceTransaction]
    more: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Payout:
    """Money on its way from the balance to the bank (https://docs.stripe.com/api/payouts)."""

    payout_id: str
    amount: int
    currency: str
    status: str
    automatic: bool
    """Only then the gateway says which transactions it is made of."""
    created_at: datetime
    arrives_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayBalance:
    """Of one currency."""

    currency: str
    available: int
    pending: int

    @property
    def total(self) -> int:
        return self.available + self.pending


_OWN_RULES: dict[str, tuple[EntryKind, int]] = {
    "stripe_fee": (EntryKind.FEE, -1),
    "stripe_fx_fee": (EntryKind.FEE, -1),
    "network_cost": (EntryKind.FEE, -1),
    "tax_fee": (EntryKind.FEE, -1),
    "payout": (EntryKind.PAYOUT, -1),
    "payout_cancel": (EntryKind.PAYOUT_RETURNED, 1),
    "payout_failure": (EntryKind.PAYOUT_RETURNED, 1),
    "topup": (EntryKind.TOP_UP, 1),
    "topup_reversal": (EntryKind.TOP_UP, 1),
}
"""The types that are facts of their own, with the sign by which their amount is posted: no payment of ours tells of them."""


def posted_for(transaction: BalanceTransaction) -> Mapping[EntryKind, int]:
    """What a balance transaction posts by itself: its fee, and the whole of a fee, a payout or a top-up."""
    kind, sign = _OWN_RULES.get(transaction.type, (EntryKind.FEE, 0))
    amounts = {EntryKind.FEE: transaction.fee}
    amounts[kind] = amounts.get(kind, 0) + sign * transaction.amount
    return {kind: amount for kind, amount in amounts.items() if amount}


def explains_itself(transaction: BalanceTransaction) -> bool:
    """Whether nothing else has to be posted for it."""
    return transaction.type in _OWN_RULES or transaction.amount == 0


def entries_of(
    transaction: BalanceTransaction, gateway: str, about: LedgerEntry | None, new_id: Callable[[], UUID]
) -> Sequence[LedgerEntry]:
    """What a balance transaction posts by itself; `about` is an entry of the object that it names, if there is one."""
    return [
        LedgerEntry(
            entry_id=new_id(),
            kind=kind,
            source=transaction.transaction_id,
            gateway=gateway,
            posted_at=transaction.created_at,
            postings=postings_of(kind, amount, transaction.currency),
            # A fee is taken besides: what an object has moved is compared without it.
            gateway_object=None if kind is EntryKind.FEE else transaction.source_id,
            payment_id=about.payment_id if about else None,
            order_id=about.order_id if about else None,
        )
        for kind, amount in posted_for(transaction).items()
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectBooks:
    """What the gateway and the ledger say of one of the gateway's objects."""

    gateway: str
    gateway_object: str
    transactions: Sequence[BalanceTransaction]
    entries: Sequence[LedgerEntry] = field(default=())

    @property
    def at_gateway(self) -> dict[str, int]:
        """Gross, by currency."""
        return _without_zeros(sums(_as_postings(self.transactions)))

    @property
    def in_ledger(self) -> dict[str, int]:
        """On the clearing account, by currency."""
        cleared = [
            posting
            for entry in self.entries
            for posting in entry.postings
            if posting.account is Account.GATEWAY_CLEARING
        ]
        return _without_zeros(sums(cleared))

    @property
    def agree(self) -> bool:
        return self.at_gateway == self.in_ledger

    def exchange(self, new_id: Callable[[], UUID]) -> LedgerEntry | None:
        """What the gateway has changed into the currency of the balance and the ledger has not posted so yet.

        Of all the object's movements at once, and only when as many of them are posted as the gateway
        has made: before that nobody can say which amount became which.
        """
        facts = [entry for entry in self.entries if entry.kind is not EntryKind.EXCHANGE]
        newest = self.transactions[-1]
        if newest.exchange_rate is None or len(facts) != len(self.transactions):
            return None
        foreign = {code: amount for code, amount in self.in_ledger.items() if code != newest.currency}
        if len(foreign) > 1 or set(self.at_gateway) - {newest.currency}:
            return None
        currency, given = next(iter(foreign.items()), (facts[0].postings[0].currency, 0))
        taken = self.at_gateway.get(newest.currency, 0) - self.in_ledger.get(newest.currency, 0)
        postings = [one for one in exchanged(given, currency, taken, newest.currency) if one.amount]
        if not postings:
            return None
        return LedgerEntry(
            entry_id=new_id(),
            kind=EntryKind.EXCHANGE,
            source=newest.transaction_id,
            gateway=self.gateway,
            posted_at=newest.created_at,
            postings=postings,
            gateway_object=self.gateway_object,
            payment_id=facts[0].payment_id,
            order_id=facts[0].order_id,
        )


def _as_postings(transactions: Sequence[BalanceTransaction]) -> list[Posting]:
    return [Posting(Account.GATEWAY_CLEARING, one.currency, one.amount) for one in transactions]


def _without_zeros(total: Mapping[str, int]) -> dict[str, int]:
    return {currency: amount for currency, amount in total.items() if amount}
