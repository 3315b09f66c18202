"""The audit log: who did what, under which authority and why, in a chain that shows each later change of it.

Each service has one log. An entry is written in the transaction of what it tells of, or neither is. It is kept
as canonical JSON (`canonical`), numbered 1, 2, 3 … without gaps, with a hash over the hash before it and
that text (`chained`): whoever knows the last hash can tell whether anything before it is still as it was.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Protocol, Self

from domain.shared.callers import Caller
from domain.shared.timeline import Detail, stamp

GENESIS = bytes(32)
"""Stands for the hash before the first entry's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """One thing that somebody did. It holds ids, amounts and states, and no personal data beside `subject`.

    `action` is an imperative with its object's kind in front: `refund.approve`, `order.acknowledge`.
    """

    at: datetime
    action: str
    subject: str
    """The token's `sub`; of a command the operating-system user and host, `cli:ada@shop-1`."""
    actor: str | None = None
    """The service that acted for the subject (`act.sub`)."""
    scopes: tuple[str, ...] = ()
    request_id: str | None = None
    """The `X-Request-Id` of what was asked for, where it came over HTTP."""
    object_type: str
    object_id: str
    reason: str | None = None
    """Why, in the words of whoever did it."""
    before: Mapping[str, Detail] = field(default_factory=dict)
    after: Mapping[str, Detail] = field(default_factory=dict)
    """What changed: the fields of the object that tell, named as in the API."""

    @classmethod
    def of(
        cls,
        caller: Caller,
        action: str,
        object_type: str,
        object_id: str,
        *,
        at: datetime,
        reason: str | None = None,
        before: Mapping[str, Detail] | None = None,
        after: Mapping[str, Detail] | None = None,
    ) -> Self:
        """What this caller did."""
        return cls(
            at=at,
            action=action,
            subject=caller.subject,
            actor=caller.actor,
            scopes=tuple(sorted(caller.scopes)),
            request_id=caller.request_id,
            object_type=object_type,
            object_id=object_id,
            reason=reason,
            before=before or {},
            after=after or {},
        )


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """An entry as it is kept."""

    position: int
    hash: bytes
    text: str
    """The entry's canonical JSON."""

    @property
    def entry(self) -> AuditEntry:
        """Raises ValueError where the text is not that of an entry."""
        return entry_of(self.text)


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which entries are wanted; None leaves it open. `since` is included, `until` is not."""

    object_id: str | None = None
    subject: str | None = None
    since: datetime | None = None
    until: datetime | None = None


class AuditReader(Protocol):
    """The log of one service, to be read."""

    async def head(self) -> AuditRecord | None:
        """The last entry that is committed."""
        ...

    async def get(self, position: int) -> AuditRecord | None: ...

    async def after(self, position: int, *, limit: int) -> Sequence[AuditRecord]:
        """The entries behind a position, oldest first."""
        ...

    async def find(self, wanted: AuditFilter, *, before: int | None, limit: int) -> Sequence[AuditRecord]:
        """Newest first; `before` is the position of the last one already seen."""
        ...


async def was_done(log: AuditReader, object_id: str, action: str, request_id: str) -> bool:
    """Whether this request did it before, and its answer was lost: the newest entry of the object says so.

    Of actions that say their request's id, the same at every repetition, in `after`.
    """
    found = await log.find(AuditFilter(object_id=object_id), before=None, limit=1)
    newest = found[0].entry if found else None
    return newest is not None and (newest.action, newest.after.get("requestId")) == (action, request_id)


class AuditLog(AuditReader, Protocol):
    """The log of one service, within a unit of work."""

    async def append(self, entry: AuditEntry) -> None:
        """Write this entry as the last thing of the unit of work, before its commit.

        The chain is locked from then until the commit: those who append at once wait for one another.
        """
        ...


def canonical(entry: AuditEntry) -> str:
    """The one text of this entry: keys sorted, nothing between them, times in UTC to the microsecond."""
    values = asdict(entry) | {"at": stamp(entry.at)}
    return json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def entry_of(text: str) -> AuditEntry:
    """The entry of a canonical text. Raises ValueError."""
    try:
        values: dict[str, Any] = json.loads(text)
        at = datetime.fromisoformat(values.pop("at"))
        return AuditEntry(at=at, scopes=tuple(values.pop("scopes")), **values)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError("this is not the text of an entry") from error


def chained(previous: bytes, text: str) -> bytes:
    """The hash of an entry behind the entry with the hash `previous`: 32 bytes of SHA-256."""
    return hashlib.sha256(previous + text.encode()).digest()
