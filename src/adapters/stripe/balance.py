"""Stripe's balance transactions, payouts and balance, as decoded JSON, read into the port's."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, TypeVar

from adapters.stripe.snapshots import Unreadable, boolean, object_id, signed, text, text_or_none, timestamp
from domain.payments.balance import BalancePage, BalanceTransaction, GatewayBalance, Payout

_Read = TypeVar("_Read")


def balance_page(answer: Mapping[str, Any]) -> BalancePage:
    """Raises Unreadable."""
    return BalancePage(_listed(answer, balance_transaction), boolean(answer, "has_more"))


def payout_page(answer: Mapping[str, Any]) -> Sequence[Payout]:
    """Raises Unreadable."""
    return _listed(answer, payout)


_OF_PAYMENTS = ("charge", "payment", "refund")


def balance_transaction(body: Mapping[str, Any]) -> BalanceTransaction:
    """Raises Unreadable; a type that is new is none of its reasons."""
    currency = text(body, "currency").upper()
    rate = body.get("exchange_rate")
    if rate is not None and (isinstance(rate, bool) or not isinstance(rate, int | float)):
        raise Unreadable("an exchange_rate that is no number")
    kind = text(body, "type")
    return BalanceTransaction(
        transaction_id=text(body, "id"),
        type=kind,
        source_id=object_id(body, "source"),
        amount=signed(body, "amount", currency),
        fee=signed(body, "fee", currency),
        currency=currency,
        created_at=timestamp(body.get("created")),
        available_at=timestamp(body.get("available_on")),
        exchange_rate=None if rate is None else Decimal(str(rate)),
        # Of what a payment moves it is the payment's own, which may tell of its customer and is kept sealed there.
        description=None if kind.startswith(_OF_PAYMENTS) else text_or_none(body, "description"),
    )


def payout(body: Mapping[str, Any]) -> Payout:
    """Raises Unreadable."""
    currency = text(body, "currency").upper()
    return Payout(
        payout_id=text(body, "id"),
        amount=signed(body, "amount", currency),
        currency=currency,
        status=text(body, "status"),
        automatic=boolean(body, "automatic"),
        created_at=timestamp(body.get("created")),
        arrives_at=timestamp(body.get("arrival_date")),
    )


def gateway_balances(body: Mapping[str, Any]) -> Sequence[GatewayBalance]:
    """By currency. Raises Unreadable."""
    found: defaultdict[str, dict[str, int]] = defaultdict(lambda: {"available": 0, "pending": 0})
    for name in ("available", "pending"):
        parts = body.get(name)
        if not isinstance(parts, list):
            raise Unreadable(f"no {name}")
        for part in parts:
            currency = text(part, "currency").upper()
            found[currency][name] += signed(part, "amount", currency)
    return [GatewayBalance(currency=currency, **parts) for currency, parts in sorted(found.items())]


def _listed(answer: Mapping[str, Any], read: Callable[[Mapping[str, Any]], _Read]) -> list[_Read]:
    listed = answer.get("data")
    if not isinstance(listed, list) or not all(isinstance(part, Mapping) for part in listed):
        raise Unreadable("not a list")
    return [read(part) for part in listed]
