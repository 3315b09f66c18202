"""The audit logs of the services that a process runs, read as one, newest first."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from domain.shared.audit import AuditFilter, AuditReader, AuditRecord


class Told(NamedTuple):
    """An entry and whose log it is in."""

    service: str
    record: AuditRecord


@dataclass(frozen=True, slots=True)
class AuditTrail:
    """`logs` by the service's name."""

    logs: Mapping[str, AuditReader]

    async def find(
        self, wanted: AuditFilter, *, before: Mapping[str, int] | None = None, limit: int
    ) -> Sequence[Told]:
        """At most so many; `before` holds, by service, the position of the last one already seen.

        Each log keeps its own order; between two logs the times decide.
        """
        ahead = {
            name: [
                Told(name, one)
                for one in await log.find(wanted, before=(before or {}).get(name), limit=limit)
            ]
            for name, log in self.logs.items()
        }
        told: list[Told] = []
        while len(told) < limit and (waiting := [found for found in ahead.values() if found]):
            newest = max(waiting, key=lambda found: found[0].record.entry.at)
            told.append(newest.pop(0))
        return told
