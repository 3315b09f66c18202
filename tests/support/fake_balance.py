"""The balance of the gateway in memory: what its objects have moved, booked when somebody looks."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import count

from domain.payments.balance import BalancePage, BalanceTransaction, GatewayBalance, Payout

AVAILABLE_AFTER = timedelta(days=2)
DISPUTE_FEE = 1500


@dataclass(frozen=True, slots=True)
class Moved:
    """What an object has moved so far: positive is to us."""

    object_id: str
    type: str
    reversal_type: str
    amount: int
    currency: str


def charge_fee(amount: int) -> int:
    """2.9 % and 30."""
    return (amount * 29 + 500) // 1000 + 30


@dataclass
class FakeBalance:
    """`rates` turn a currency into one that the account is settled in: `{"JPY": ("USD", Decimal("0.65"))}`."""

    name: str
    now: Callable[[], datetime]
    moved: Callable[[], Iterator[Moved]]
    """What each object of the gateway has moved so far."""
    rates: dict[str, tuple[str, Decimal]] = field(default_factory=dict)
    transactions: list[BalanceTransaction] = field(default_factory=list)
    payouts: dict[str, Payout] = field(default_factory=dict)
    _paid_by: dict[str, str] = field(default_factory=dict)
    _booked: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    _numbers: "count[int]" = field(default_factory=lambda: count(1))

    def book(self) -> None:
        for one in self.moved():
            difference = one.amount - self._booked[one.object_id]
            if difference:
                self._booked[one.object_id] = one.amount
                taken_back = one.type == "refund" and difference > 0
                self._add(one.reversal_type if taken_back else one.type, difference, one)

    def _add(self, type: str, amount: int, one: Moved) -> None:
        currency, rate = self.rates.get(one.currency, (one.currency, None))
        amount = amount if rate is None else int(amount * rate)
        fee = charge_fee(amount) if type == "charge" else 0
        if type == "adjustment" and amount < 0:
            fee = DISPUTE_FEE
        self.post(type, amount, fee=fee, currency=currency, source_id=one.object_id, exchange_rate=rate)

    def post(
        self,
        type: str,
        amount: int,
        *,
        currency: str = "EUR",
        fee: int = 0,
        source_id: str | None = None,
        exchange_rate: Decimal | None = None,
    ) -> BalanceTransaction:
        """The gateway moves our balance by itself."""
        made = BalanceTransaction(
            transaction_id=f"txn_{self.name}_{next(self._numbers):06d}",
            type=type,
            source_id=source_id,
            amount=amount,
            fee=fee,
            currency=currency,
            created_at=self.now().replace(microsecond=0),
            available_at=self.now().replace(microsecond=0) + AVAILABLE_AFTER,
            exchange_rate=exchange_rate,
        )
        self.transactions.append(made)
        return made

    def pay_out(self, currency: str = "EUR") -> Payout:
        """Send all that there is to the bank, as an automatic payout does with what is available."""
        self.book()
        parts = [
            one
            for one in self.transactions
            if one.currency == currency and one.transaction_id not in self._paid_by
        ]
        amount = sum(one.net for one in parts)
        payout_id = f"po_{self.name}_{next(self._numbers)}"
        own = self.post("payout", -amount, currency=currency, source_id=payout_id)
        self._paid_by |= {one.transaction_id: payout_id for one in (*parts, own)}
        self.payouts[payout_id] = Payout(
            payout_id=payout_id,
            amount=amount,
            currency=currency,
            status="paid",
            automatic=True,
            created_at=own.created_at,
            arrives_at=own.created_at,
        )
        return self.payouts[payout_id]

    def page(
        self,
        created_from: datetime | None,
        created_before: datetime | None,
        payout_id: str | None,
        after: str | None,
        limit: int,
    ) -> BalancePage:
        self.book()
        ids = [one.transaction_id for one in self.transactions]
        older = self.transactions[: ids.index(after)] if after else self.transactions
        found = [
            one
            for one in reversed(older)
            if (created_from is None or one.created_at >= created_from.replace(microsecond=0))
            and (created_before is None or one.created_at < created_before)
            and payout_id in (None, self._paid_by.get(one.transaction_id))
        ]
        return BalancePage(found[:limit], more=len(found) > limit)

    def balances(self) -> Sequence[GatewayBalance]:
        self.book()
        now = self.now()
        found: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0])
        for one in self.transactions:
            # A payout takes of what is available at once.
            found[one.currency][one.available_at > now and one.type != "payout"] += one.net
        return [
            GatewayBalance(currency=currency, available=both[0], pending=both[1])
            for currency, both in sorted(found.items())
        ]
