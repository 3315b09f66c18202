"""What the payment side states of its gateway's objects to whoever compares the two: read by index, in bounded pages.

Nothing here locks or writes. Each statement is one SQL statement, so of one moment.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import RowMapping, TextClause, text
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres.rows import from_row
from adapters.postgres.statements import reading
from domain.shared.gateway_objects import GatewayObject, ObjectKind, OwnObject, StuckCall, ToldTotals

# The newest event is read with the payment that it tells of, for both are written in one transaction. The days
# before the payment's making are not looked into.
_INTENTS = """
    SELECT p.intent_id AS object_id, p.intent_id, p.payment_id AS own_id, p.payment_id, p.order_id, p.gateway,
        p.status, p.amount, p.currency, p.amount_captured AS moved, p.failed_charge_id AS attempt, p.created_at,
        p.updated_at AS changed_at, p.in_flight IS NOT NULL AS is_explained, p.sequence, p.amount_refunded,
        told.sequence AS told_sequence, told.amount_captured AS told_captured,
        told.amount_refunded AS told_refunded
    FROM payments.payment AS p
    LEFT JOIN LATERAL (
        SELECT e.sequence, CAST(e.payload -> 'data' ->> 'amountCaptured' AS bigint) AS amount_captured,
            CAST(e.payload -> 'data' ->> 'amountRefunded' AS bigint) AS amount_refunded
        FROM payments.outbox_event AS e
        WHERE e.topic = 'payment.events' AND e.stream = p.payment_id
            AND e.created_at >= p.created_at - interval '1 day'
        ORDER BY e.sequence DESC LIMIT 1
    ) AS told ON true
    WHERE p.gateway = :gateway AND p.intent_id IS NOT NULL
"""
_REFUNDS = """
    SELECT r.gateway_refund_id AS object_id, p.intent_id, r.refund_id AS own_id, p.payment_id, p.order_id,
        p.gateway, r.status, r.amount, r.currency, 0 AS moved, r.created_at, r.updated_at AS changed_at,
        r.status = 'PENDING' AND EXISTS (
            SELECT FROM payments.operation AS o WHERE o.payment_id = r.payment_id AND o.refund_id = r.refund_id
                AND o.status IN ('STARTED', 'UNKNOWN')
        ) AS is_explained
    FROM payments.refund AS r JOIN payments.payment AS p USING (payment_id)
    WHERE p.gateway = :gateway AND r.gateway_refund_id IS NOT NULL
"""
_DISPUTES = """
    SELECT d.gateway_dispute_id AS object_id, p.intent_id, NULL AS own_id, p.payment_id, p.order_id, p.gateway,
        d.status, d.amount, d.currency, d.amount_withdrawn AS moved, d.opened_at AS created_at,
        d.updated_at AS changed_at, false AS is_explained
    FROM payments.dispute AS d JOIN payments.payment AS p USING (payment_id)
    WHERE p.gateway = :gateway
"""


@dataclass(frozen=True, slots=True)
class _Statements:
    page: TextClause
    of_objects: TextClause


def _statements(select: str, time: str, own: str, theirs: str) -> _Statements:
    """`time`, `own` and `theirs` are the columns of an object's making, of our key and of the gateway's."""
    return _Statements(
        page=text(
            f"""
            {select} AND {time} >= :since AND {time} < :until
                AND (CAST(:at AS timestamptz) IS NULL OR ({time}, {own}) < (:at, CAST(:key AS text)))
            ORDER BY {time} DESC, {own} DESC LIMIT :limit
            """
        ),
        of_objects=text(f"{select} AND {theirs} = ANY (CAST(:object_ids AS text[]))"),
    )


_BY_KIND: Mapping[ObjectKind, _Statements] = {
    ObjectKind.INTENT: _statements(_INTENTS, "p.created_at", "p.payment_id", "p.intent_id"),
    ObjectKind.REFUND: _statements(_REFUNDS, "r.created_at", "r.refund_id", "r.gateway_refund_id"),
    ObjectKind.DISPUTE: _statements(_DISPUTES, "d.opened_at", "d.gateway_dispute_id", "d.gateway_dispute_id"),
}
_COUNT = text("SELECT count(*) FROM payments.payment WHERE created_at >= :since AND created_at < :until")
_UNSENT: Mapping[ObjectKind, TextClause] = {
    ObjectKind.INTENT: text(
        """
        SELECT payment_id FROM payments.payment
        WHERE payment_id = ANY (CAST(:own_ids AS text[])) AND intent_id IS NULL AND in_flight IS NOT NULL
        """
    ),
    ObjectKind.REFUND: text(
        """
        SELECT refund_id FROM payments.refund
        WHERE refund_id = ANY (CAST(:own_ids AS text[])) AND gateway_refund_id IS NULL AND status = 'PENDING'
        """
    ),
}
_HEARD = text(
    """
    SELECT event_id FROM payments.webhook_event
    WHERE gateway = :gateway AND event_id = ANY (CAST(:event_ids AS text[]))
    """
)
# By the index of open operations, of which there are few.
_STUCK = text(
    """
    SELECT o.operation_id, o.kind, o.gateway, o.payment_id, p.order_id, o.created_at AS since
    FROM payments.operation AS o JOIN payments.payment AS p USING (payment_id)
    WHERE o.status IN ('STARTED', 'UNKNOWN') AND o.created_at < :before
    ORDER BY o.created_at, o.operation_id LIMIT :limit
    """
)


@dataclass(frozen=True, slots=True)
class PostgresOwnBook:
    engine: AsyncEngine

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
        key = None if after is None else after.stated.own_id or after.stated.object_id
        rows = await self._rows(
            _BY_KIND[kind].page,
            gateway=gateway,
            since=since,
            until=until,
            at=None if after is None else after.created_at,
            key=key,
            limit=limit,
        )
        return [_own(kind, row) for row in rows]

    async def count(self, *, since: datetime, until: datetime) -> int:
        (row,) = await self._rows(_COUNT, since=since, until=until)
        return int(row["count"])

    async def of_objects(
        self, kind: ObjectKind, gateway: str, object_ids: Sequence[str]
    ) -> Mapping[str, OwnObject]:
        rows = await self._rows(_BY_KIND[kind].of_objects, gateway=gateway, object_ids=list(object_ids))
        return {row["object_id"]: _own(kind, row) for row in rows}

    async def unsent(self, kind: ObjectKind, own_ids: Sequence[str]) -> Collection[str]:
        statement = _UNSENT.get(kind)
        if statement is None:
            return set()  # we make no disputes
        return {next(iter(row.values())) for row in await self._rows(statement, own_ids=list(own_ids))}

    async def unheard(self, gateway: str, event_ids: Sequence[str]) -> Collection[str]:
        rows = await self._rows(_HEARD, gateway=gateway, event_ids=list(event_ids)) if event_ids else []
        return set(event_ids).difference(row["event_id"] for row in rows)

    async def stuck_calls(self, *, before: datetime, limit: int) -> Sequence[StuckCall]:
        return [from_row(StuckCall, row) for row in await self._rows(_STUCK, before=before, limit=limit)]

    async def _rows(self, statement: TextClause, **asked: object) -> Sequence[RowMapping]:
        async with reading(self.engine) as connection:
            return (await connection.execute(statement, asked)).mappings().all()


def _own(kind: ObjectKind, row: Mapping[Any, Any]) -> OwnObject:
    told = row.get("told_sequence")
    return OwnObject(
        stated=GatewayObject(
            kind=kind,
            gateway=row["gateway"],
            object_id=row["object_id"],
            intent_id=row["intent_id"],
            own_id=row["own_id"],
            status=row["status"],
            amount=row["amount"],
            currency=row["currency"],
            moved=row["moved"],
            attempt=row.get("attempt"),
        ),
        payment_id=row["payment_id"],
        order_id=row["order_id"],
        created_at=row["created_at"],
        changed_at=row["changed_at"],
        is_explained=row["is_explained"],
        sequence=row.get("sequence", 0),
        amount_refunded=row.get("amount_refunded", 0),
        told=None
        if told is None
        else ToldTotals(
            sequence=told, amount_captured=row["told_captured"], amount_refunded=row["told_refunded"]
        ),
    )
