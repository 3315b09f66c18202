"""What both sides state of their books, from units of work in memory."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from domain.orders.attempt import Attempt, AttemptStatus
from domain.orders.order import Order
from domain.payments.payment import Payment
from domain.shared.statements import (
    ChangedPayments,
    FollowedPayment,
    HeldEvent,
    OpenWork,
    OrderStatement,
    PaymentStatement,
)
from tests.support.memory import Database


@dataclass
class MemoryOrderStatements:
    """`held` are events that the order side's inbox has not applied; the house has no inbox of its own."""

    database: Database
    held: list[HeldEvent] = field(default_factory=list)
    altered: dict[str, dict[str, int]] = field(default_factory=dict)
    """Columns of orders that somebody has changed by hand, by order id."""

    async def of_orders(self, order_ids: Sequence[str]) -> Sequence[OrderStatement]:
        return [self._statement(order) for order in self._orders() if order.order_id in order_ids]

    async def page(
        self, *, after: str, since: datetime | None, until: datetime | None, limit: int
    ) -> Sequence[OrderStatement]:
        wanted = [one for one in self._orders() if one.order_id > after and _within(one, since, until)]
        return [self._statement(order) for order in wanted[:limit]]

    async def existing(self, order_ids: Sequence[str]) -> Collection[str]:
        return {order.order_id for order in self._orders() if order.order_id in order_ids}

    async def newest(self, limit: int) -> Sequence[OrderStatement]:
        return [self._statement(order) for order in self._orders()[::-1][:limit]]

    async def places(self, payment_ids: Sequence[str]) -> Mapping[str, int]:
        entries = (recorded.entry for recorded in self.database.history)
        followed = sorted(
            (entry.payment_id, entry.sequence)
            for entry in entries
            if entry.payment_id in payment_ids and entry.payment_id and entry.sequence
        )
        return dict(followed)

    async def held_events(self, payment_ids: Sequence[str]) -> Sequence[HeldEvent]:
        return [event for event in self.held if event.payment_id in payment_ids]

    async def open_attempts(self, *, before: datetime, limit: int) -> Sequence[OpenWork]:
        attempts: list[Attempt] = list(self.database.rows["attempt"].values())
        return [
            OpenWork(
                work_id=one.attempt_id,
                kind=one.kind,
                order_id=one.order_id,
                payment_id=one.payment_id,
                since=one.created_at,
                error=one.error,
            )
            for one in sorted(attempts, key=lambda one: one.created_at)
            if one.status is AttemptStatus.STARTED and one.created_at < before
        ][:limit]

    def _orders(self) -> list[Order]:
        orders: list[Order] = list(self.database.rows["order"].values())
        return sorted(orders, key=lambda order: order.order_id)

    def _statement(self, order: Order) -> OrderStatement:
        noted, applied = None, dict[str, int]()
        for recorded in self.database.history:
            if recorded.order_id == order.order_id:
                noted = recorded.entry.after or noted
                if recorded.entry.payment_id and recorded.entry.sequence:
                    applied[recorded.entry.payment_id] = recorded.entry.sequence
        stored = {"amount_paid": order.amount_paid, "amount_refunded": order.amount_refunded}
        stored |= self.altered.get(order.order_id, {})
        return OrderStatement(
            order_id=order.order_id,
            status=order.status.value,
            noted_status=noted,
            currency=order.currency,
            total_amount=order.total_amount,
            **stored,
            attentions=order.attentions,
            payments={
                one.payment_id: FollowedPayment(
                    status=one.status,
                    amount_captured=one.amount_captured,
                    amount_refunded=one.amount_refunded,
                    applied=applied.get(one.payment_id, 0),
                )
                for one in order.payments
            },
            created_at=order.created_at,
        )


def _within(one: Order | Payment, since: datetime | None, until: datetime | None) -> bool:
    return (since is None or one.created_at >= since) and (until is None or one.created_at < until)


@dataclass
class MemoryPaymentStatements:
    database: Database

    async def of_orders(self, order_ids: Sequence[str]) -> Sequence[PaymentStatement]:
        return [_statement(payment) for payment in self._payments() if payment.order_id in order_ids]

    async def page(
        self, *, after: str, since: datetime | None, until: datetime | None, limit: int
    ) -> Sequence[PaymentStatement]:
        wanted = [one for one in self._payments() if one.payment_id > after and _within(one, since, until)]
        return [_statement(payment) for payment in wanted[:limit]]

    async def changed(self, *, after: str | None, before: datetime, limit: int) -> ChangedPayments:
        first = int(after.partition("-")[2]) if after else 0
        taken = 0
        for event in self.database.log[first : first + limit]:
            if event.occurred_at >= before:
                break
            taken += 1
        events = self.database.log[first : first + taken]
        return ChangedPayments(
            order_ids=tuple(dict.fromkeys(event.order_id for event in events)),
            cursor=f"0-{first + taken}" if first + taken else None,
            is_last=taken < limit,
        )

    def _payments(self) -> list[Payment]:
        payments: list[Payment] = list(self.database.rows["payment"].values())
        return sorted(payments, key=lambda payment: payment.payment_id)


def _statement(payment: Payment) -> PaymentStatement:
    return PaymentStatement(
        payment_id=payment.payment_id,
        order_id=payment.order_id,
        status=payment.status.value,
        amount=payment.amount,
        currency=payment.currency,
        amount_captured=payment.amount_captured,
        amount_refunded=payment.amount_refunded,
        sequence=payment.sequence,
        created_at=payment.created_at,
        updated_at=payment.updated_at,
    )
