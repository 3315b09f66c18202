"""The audit log in memory; `tests/contract/repositories` holds it to the port."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from domain.shared.audit import (
    GENESIS,
    AuditEntry,
    AuditFilter,
    AuditRecord,
    canonical,
    chained,
)


@dataclass(slots=True)
class MemoryAudit:
    """`kept` is what is committed."""

    kept: list[AuditRecord]
    _waiting: list[AuditEntry] = field(default_factory=list)

    async def append(self, entry: AuditEntry) -> None:
        self._waiting.append(entry)

    def commit(self) -> None:
        for entry in self._waiting:
            text = canonical(entry)
            previous = self.kept[-1].hash if self.kept else GENESIS
            self.kept.append(AuditRecord(len(self.kept) + 1, chained(previous, text), text))
        self.end()

    def end(self) -> None:
        self._waiting.clear()

    async def head(self) -> AuditRecord | None:
        await asyncio.sleep(0)
        return self.kept[-1] if self.kept else None

    async def get(self, position: int) -> AuditRecord | None:
        await asyncio.sleep(0)
        return self.kept[position - 1] if 0 < position <= len(self.kept) else None

    async def after(self, position: int, *, limit: int) -> Sequence[AuditRecord]:
        await asyncio.sleep(0)
        return self.kept[position:][:limit]

    async def find(self, wanted: AuditFilter, *, before: int | None, limit: int) -> Sequence[AuditRecord]:
        await asyncio.sleep(0)
        found = [
            record
            for record in reversed(self.kept)
            if (before is None or record.position < before) and _is_wanted(record.entry, wanted)
        ]
        return found[:limit]


def _is_wanted(entry: AuditEntry, wanted: AuditFilter) -> bool:
    return (
        wanted.object_id in (None, entry.object_id)
        and wanted.subject in (None, entry.subject)
        and (wanted.since is None or entry.at >= wanted.since)
        and (wanted.until is None or entry.at < wanted.until)
    )
