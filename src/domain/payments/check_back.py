"""What the payment side wants to know of an order before it makes a payment for it, and of whom it wants less."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from domain.payments.errors import (
    OrderSnapshotMissing,
    OrderSnapshotStale,
    OrderTermsDiffer,
    OrderUnknown,
)
from domain.payments.ports import OrderTerms, OrderTermsSource, SnapshotReader
from domain.shared.callers import Caller


class CheckBack(StrEnum):
    SNAPSHOT = "snapshot"
    """The request carries the order's signed terms, which are young: as old as their life at most."""
    CALLBACK = "callback"
    """The order side is asked."""
    BOTH = "both"
    """The request carries the order's signed terms, and the order side says that they are those of its version now."""
    OFF = "off"
    """The caller is believed."""


@dataclass(frozen=True, slots=True)
class CallerRule:
    """What is wanted of these callers. None is anybody."""

    policy: CheckBack
    issuer: str | None
    """Who signs their tokens."""
    subject: str | None
    """Who calls: the service where one acts for a person."""

    def is_of(self, caller: Caller) -> bool:
        return self.issuer in (None, caller.issuer) and self.subject in (
            None,
            caller.actor or caller.subject,
        )


@dataclass(frozen=True, slots=True)
class CheckBackPolicy:
    """The first rule that is of a caller decides."""

    default: CheckBack = CheckBack.CALLBACK
    rules: Sequence[CallerRule] = ()

    def of(self, caller: Caller) -> CheckBack:
        return next((rule.policy for rule in self.rules if rule.is_of(caller)), self.default)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a request is for. `order_pointer` is where it names the order, None where that is not in its body."""

    order_id: str
    amount: int
    currency: str
    snapshot: str | None = None
    order_pointer: str | None = "/orderId"


@dataclass(frozen=True, slots=True)
class OrderCheck:
    """Nothing is begun for an order that wants something else."""

    source: OrderTermsSource
    read_snapshot: SnapshotReader
    policy: CheckBackPolicy = CheckBackPolicy()

    async def __call__(self, caller: Caller, wanted: Wanted) -> None:
        """Raises OrderUnknown, OrderTermsDiffer, OrderSnapshotMissing, OrderSnapshotInvalid, OrderSnapshotStale,
        and OrdersUnavailable where the order side, or its keys, cannot be asked."""
        policy = self.policy.of(caller)
        signed = None
        if policy in (CheckBack.SNAPSHOT, CheckBack.BOTH):
            if wanted.snapshot is None:
                raise OrderSnapshotMissing(pointer="/orderSnapshot")
            signed = await self.read_snapshot(wanted.snapshot)
            _compare(signed, wanted)
        if policy in (CheckBack.CALLBACK, CheckBack.BOTH):
            terms = await self.source.get(wanted.order_id, caller)
            if terms is None:
                raise OrderUnknown(pointer=wanted.order_pointer)
            if signed is not None and signed.version != terms.version:
                raise OrderSnapshotStale(pointer="/orderSnapshot")
            _compare(terms, wanted)


def _compare(terms: OrderTerms, wanted: Wanted) -> None:
    if terms.order_id != wanted.order_id:
        raise OrderTermsDiffer("the terms are another order's", pointer=wanted.order_pointer)
    if terms.currency != wanted.currency:
        raise OrderTermsDiffer(f"the order is in {terms.currency}", pointer="/currency")
    if terms.amount != wanted.amount:
        raise OrderTermsDiffer(f"the order's total is {terms.amount}", pointer="/amount")
    if not terms.payable:
        raise OrderTermsDiffer("the order cannot be paid now", pointer=wanted.order_pointer)
