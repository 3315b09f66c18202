"""What the payment side states of its gateway's objects, from units of work in memory."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from domain.payments.dispute import Dispute
from domain.payments.operation import Operation
from domain.payments.payment import Payment
from domain.payments.refund import Refund, RefundStatus
from domain.shared.gateway_objects import GatewayObject, ObjectKind, OwnObject, StuckCall, ToldTotals
from tests.support.memory import Database


@dataclass
class MemoryOwnBook:
    """`forgotten` are payments whose events are older than the log."""

    database: Database
    forgotten: set[str] = field(default_factory=set)

    async def page(
        self,
        kind: ObjectKind,
        gateway: str,
        *,
        since: datetime,
        until: datetime,
        after: OwnObject | None,
        limit: int,
    ) -> Sequence[OwnObject]:
        place = None if after is None else _place(after)
        chosen = [
            one
            for one in sorted(self._all(kind, gateway), key=_place, reverse=True)
            if since <= one.created_at < until and (place is None or _place(one) < place)
        ]
        return chosen[:limit]

    async def count(self, *, since: datetime, until: datetime) -> int:
        return sum(since <= payment.created_at < until for payment in self._payments.values())

    async def of_objects(
        self, kind: ObjectKind, gateway: str, object_ids: Sequence[str]
    ) -> Mapping[str, OwnObject]:
        found = {one.stated.object_id: one for one in self._all(kind, gateway)}
        return {object_id: found[object_id] for object_id in object_ids if object_id in found}

    async def unsent(self, kind: ObjectKind, own_ids: Sequence[str]) -> Collection[str]:
        if kind is ObjectKind.INTENT:
            waiting = {
                one.payment_id for one in self._payments.values() if not one.intent_id and one.in_flight
            }
        else:
            waiting = {
                one.refund_id
                for one in self._refunds
                if one.gateway_refund_id is None and one.status is RefundStatus.PENDING
            }
        return waiting & set(own_ids)

    async def unheard(self, gateway: str, event_ids: Sequence[str]) -> Collection[str]:
        return {one for one in event_ids if (gateway, one) not in self.database.rows["webhook"]}

    async def stuck_calls(self, *, before: datetime, limit: int) -> Sequence[StuckCall]:
        operations: list[Operation] = list(self.database.rows["operation"].values())
        stuck = [
            StuckCall(
                operation_id=one.operation_id,
                kind=one.kind,
                gateway=one.gateway,
                payment_id=one.payment_id,
                order_id=self._payments[one.payment_id].order_id,
                since=one.created_at,
            )
            for one in operations
            if one.open and one.created_at < before
        ]
        return sorted(stuck, key=lambda one: (one.since, one.operation_id))[:limit]

    @property
    def _payments(self) -> Mapping[str, Payment]:
        return self.database.rows["payment"]

    @property
    def _refunds(self) -> Collection[Refund]:
        return self.database.rows["refund"].values()

    def _all(self, kind: ObjectKind, gateway: str) -> list[OwnObject]:
        payments = [one for one in self._payments.values() if one.gateway == gateway]
        if kind is ObjectKind.INTENT:
            return [self._intent(one, one.intent_id) for one in payments if one.intent_id is not None]
        known = {one.payment_id: one for one in payments}
        if kind is ObjectKind.REFUND:
            return [
                self._refund(one, one.gateway_refund_id, known[one.payment_id])
                for one in self._refunds
                if one.gateway_refund_id is not None and one.payment_id in known
            ]
        disputes: list[Dispute] = list(self.database.rows["dispute"].values())
        return [_dispute(one, known[one.payment_id]) for one in disputes if one.payment_id in known]

    def _intent(self, payment: Payment, intent_id: str) -> OwnObject:
        told = [event for event in self.database.log if event.payment_id == payment.payment_id]
        in_log = bool(told) and payment.payment_id not in self.forgotten
        return OwnObject(
            stated=GatewayObject(
                kind=ObjectKind.INTENT,
                gateway=payment.gateway,
                object_id=intent_id,
                intent_id=intent_id,
                own_id=payment.payment_id,
                status=payment.status.value,
                amount=payment.amount,
                currency=payment.currency,
                moved=payment.amount_captured,
                attempt=payment.failed_charge_id,
            ),
            payment_id=payment.payment_id,
            order_id=payment.order_id,
            created_at=payment.created_at,
            changed_at=payment.updated_at,
            is_explained=payment.in_flight is not None,
            sequence=payment.sequence,
            amount_refunded=payment.amount_refunded,
            told=ToldTotals(
                sequence=told[-1].sequence,
                amount_captured=told[-1].amount_captured,
                amount_refunded=told[-1].amount_refunded,
            )
            if in_log
            else None,
        )

    def _refund(self, refund: Refund, gateway_refund_id: str, payment: Payment) -> OwnObject:
        operations: list[Operation] = list(self.database.rows["operation"].values())
        return OwnObject(
            stated=GatewayObject(
                kind=ObjectKind.REFUND,
                gateway=payment.gateway,
                object_id=gateway_refund_id,
                intent_id=payment.intent_id,
                own_id=refund.refund_id,
                status=refund.status.value,
                amount=refund.amount,
                currency=refund.currency,
            ),
            payment_id=payment.payment_id,
            order_id=payment.order_id,
            created_at=refund.created_at,
            changed_at=refund.updated_at,
            is_explained=refund.status is RefundStatus.PENDING
            and any(one.open and one.refund_id == refund.refund_id for one in operations),
        )


def _dispute(dispute: Dispute, payment: Payment) -> OwnObject:
    return OwnObject(
        stated=GatewayObject(
            kind=ObjectKind.DISPUTE,
            gateway=payment.gateway,
            object_id=dispute.gateway_dispute_id,
            intent_id=payment.intent_id,
            own_id=None,
            status=dispute.status.value,
            amount=dispute.amount,
            currency=dispute.currency,
            moved=dispute.amount_withdrawn,
        ),
        payment_id=payment.payment_id,
        order_id=payment.order_id,
        created_at=dispute.opened_at,
        changed_at=dispute.updated_at,
        is_explained=False,
    )


def _place(one: OwnObject) -> tuple[datetime, str]:
    return one.created_at, one.stated.own_id or one.stated.object_id
