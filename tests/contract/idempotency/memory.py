"""An idempotency store in memory; the contract suite beside it holds it to PostgreSQL's behaviour."""

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from domain.shared.idempotency import (
    KEEP_DAYS,
    LEASE_SECONDS,
    Answer,
    Beginning,
    Begun,
    InFlight,
    KeyOwner,
    OtherRequest,
    Replay,
)

LEASE = timedelta(seconds=LEASE_SECONDS)
KEEP = timedelta(days=KEEP_DAYS)


@dataclass
class _Row:
    fingerprint: bytes
    request_id: str
    attempt: int
    lease_until: datetime
    expires_at: datetime
    answer: Answer | None = None


class MemoryIdempotencyStore:
    def __init__(self) -> None:
        self.now = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
        self.rows: dict[tuple[KeyOwner, str], _Row] = {}

    async def begin(self, owner: KeyOwner, key: str, fingerprint: bytes, request_id: str) -> Beginning:
        row = self.rows.get((owner, key))
        if row is None or row.expires_at <= self.now:
            row = _Row(fingerprint, request_id, 1, self.now + LEASE, self.now + KEEP)
            self.rows[owner, key] = row
            return Begun(request_id, 1)
        if row.fingerprint != fingerprint:
            return OtherRequest()
        if row.answer is not None:
            return Replay(row.answer)
        if row.lease_until > self.now:
            return InFlight(math.ceil((row.lease_until - self.now).total_seconds()))
        row.attempt += 1
        row.lease_until = self.now + LEASE
        row.expires_at = self.now + KEEP
        return Begun(row.request_id, row.attempt)

    async def finish(self, owner: KeyOwner, key: str, request_id: str, answer: Answer) -> Answer:
        row = self.rows.get((owner, key))
        if row is None or row.request_id != request_id:
            return answer
        if row.answer is None:
            row.answer = answer
            row.expires_at = self.now + KEEP
        return row.answer

    async def release(self, owner: KeyOwner, key: str, begun: Begun) -> None:
        row = self.rows.get((owner, key))
        if row is not None and row.request_id == begun.request_id and row.attempt == begun.attempt:
            row.lease_until = self.now

    async def delete_expired(self, limit: int) -> int:
        expired = [name for name, row in self.rows.items() if row.expires_at <= self.now][:limit]
        for name in expired:
            del self.rows[name]
        return len(expired)
