"""The ledger: what each money fact posts, by double entry.

An entry is one fact and never changes; its postings sum to zero in each currency. A debit is positive, a
credit negative, amounts are minor units. docs/ledger.md has the chart of accounts and worked examples.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from domain.shared.errors import Malformed
from domain.shared.payment_events import PaymentEvent


class Account(StrEnum):
    """The chart of accounts, each kept for every currency and gateway account apart."""

    CUSTOMER_RECEIVABLE = "customer_receivable"
    """What customers owe: billed and collected in one entry, so that it is zero after each."""
    GATEWAY_CLEARING = "gateway_clearing"
    """What the gateway holds for us: its balance, pending and available."""
    BANK = "bank"
    """What the gateway has paid out."""
    REVENUE = "revenue"
    REFUNDS = "refunds"
    FEES = "fees"
    DISPUTES = "disputes"
    """What disputes have taken and not given back."""
    EXCHANGE = "exchange"
    """Where the gateway changed one currency into another: its balances in all of them together are worth nothing."""


class EntryKind(StrEnum):
    CAPTURE = "CAPTURE"
    REFUND = "REFUND"
    REFUND_REVERSED = "REFUND_REVERSED"
    """A bank sent a refund back after it had succeeded."""
    DISPUTE_WITHDRAWN = "DISPUTE_WITHDRAWN"
    DISPUTE_REINSTATED = "DISPUTE_REINSTATED"
    FEE = "FEE"
    PAYOUT = "PAYOUT"
    PAYOUT_RETURNED = "PAYOUT_RETURNED"
    TOP_UP = "TOP_UP"
    EXCHANGE = "EXCHANGE"


_A, _K = Account, EntryKind

RULES: Mapping[EntryKind, Sequence[tuple[Account, Account]]] = {
    _K.CAPTURE: ((_A.CUSTOMER_RECEIVABLE, _A.REVENUE), (_A.GATEWAY_CLEARING, _A.CUSTOMER_RECEIVABLE)),
    _K.REFUND: ((_A.REFUNDS, _A.GATEWAY_CLEARING),),
    _K.REFUND_REVERSED: ((_A.GATEWAY_CLEARING, _A.REFUNDS),),
    _K.DISPUTE_WITHDRAWN: ((_A.DISPUTES, _A.GATEWAY_CLEARING),),
    _K.DISPUTE_REINSTATED: ((_A.GATEWAY_CLEARING, _A.DISPUTES),),
    _K.FEE: ((_A.FEES, _A.GATEWAY_CLEARING),),
    _K.PAYOUT: ((_A.BANK, _A.GATEWAY_CLEARING),),
    _K.PAYOUT_RETURNED: ((_A.GATEWAY_CLEARING, _A.BANK),),
    _K.TOP_UP: ((_A.GATEWAY_CLEARING, _A.BANK),),
}
"""What each fact debits and credits, pair by pair, with its amount. An exchange has two amounts: see `exchanged`."""


class EntryUnbalanced(Exception):
    """The postings of an entry do not sum to zero in each currency."""


@dataclass(frozen=True, slots=True)
class Posting:
    account: Account
    currency: str
    amount: int
    """In minor units: a debit is positive, a credit negative."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerEntry:
    """One fact; its `kind` and `source` name it, and are in the ledger once for each gateway account.

    `source` is the id of the payment event, of the gateway's balance transaction, or the dispute's and
    the number of its movement.
    """

    entry_id: UUID
    kind: EntryKind
    source: str
    gateway: str
    posted_at: datetime
    postings: Sequence[Posting]
    gateway_object: str | None = None
    """The charge, refund, dispute or payout that the gateway's balance transactions name as their source."""
    payment_id: str | None = None
    order_id: str | None = None

    def __post_init__(self) -> None:
        if not self.postings or any(sums(self.postings).values()):
            raise EntryUnbalanced(f"{self.kind} {self.source}")

    def on(self, account: Account) -> Mapping[str, int]:
        """What it moves on this account, by currency."""
        return sums(posting for posting in self.postings if posting.account is account)


def sums(postings: Iterable[Posting]) -> Mapping[str, int]:
    """By currency."""
    total: defaultdict[str, int] = defaultdict(int)
    for posting in postings:
        total[posting.currency] += posting.amount
    return total


def postings_of(kind: EntryKind, amount: int, currency: str) -> Sequence[Posting]:
    """By the rules; a negative amount (a fee given back) turns debits into credits."""
    return tuple(
        Posting(account, currency, signed)
        for debited, credited in RULES[kind]
        for account, signed in ((debited, amount), (credited, -amount))
    )


def told_by(
    event: PaymentEvent, kind: EntryKind, gateway: str, gateway_object: str | None, currency: str | None
) -> Sequence[LedgerEntry]:
    """The entry of an event, and of its name; none for a capture of nothing, which only releases a hold.

    `currency` is the refund's own, should the gateway have made it in another than the payment's.
    """
    if event.amount == 0:
        return ()
    entry = LedgerEntry(
        entry_id=event.event_id,
        kind=kind,
        source=str(event.event_id),
        gateway=gateway,
        posted_at=event.occurred_at,
        postings=postings_of(kind, event.amount, currency or event.currency),
        gateway_object=gateway_object,
        payment_id=event.payment_id,
        order_id=event.order_id,
    )
    return (entry,)


def exchanged(given: int, currency: str, taken: int, settled_in: str) -> Sequence[Posting]:
    """The gateway holds `taken` of its own currency for what was `given` in the customer's."""
    return (
        Posting(_A.EXCHANGE, currency, given),
        Posting(_A.GATEWAY_CLEARING, currency, -given),
        Posting(_A.GATEWAY_CLEARING, settled_in, taken),
        Posting(_A.EXCHANGE, settled_in, -taken),
    )


def account_named(name: str) -> Account:
    """Raises Malformed."""
    try:
        return Account(name)
    except ValueError:
        known = ", ".join(Account)
        raise Malformed(f"There is no such account; they are {known}.", pointer="?account") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountBalance:
    """Debits and credits are sums of postings, both positive; `amount` is what one is above the other."""

    account: Account
    gateway: str
    currency: str
    debits: int
    credits: int

    @property
    def amount(self) -> int:
        """Positive where debits prevail, as they do for money that we have, and for what we have lost."""
        return self.debits - self.credits
