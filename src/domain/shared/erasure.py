"""Erasing a customer's personal data in one service, while the records of their money stay.

Each service erases what it keeps, with its own database alone. Erasing again is harmless, and takes what has
come since.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from domain.shared.audit import AuditEntry, AuditLog
from domain.shared.callers import Caller
from domain.shared.idempotency import Answer
from domain.shared.system import Clock

ERASED_ANSWER = Answer(
    410,
    b'{"type":"about:blank","title":"Gone","status":410,"code":"personal_data_erased",'
    b'"detail":"The answer to this request was erased with the personal data of its customer."}',
)
"""What a repeated request is answered from then on: it was carried out, and is not carried out again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Whose data it is: a user, or the guest of one order."""

    user_id: str | None = None
    order_id: str | None = None
    """Of a guest alone; None for a user."""

    def __post_init__(self) -> None:
        if (self.user_id is None) == (self.order_id is None):
            raise ValueError("a person is a user or the guest of one order")

    @property
    def subject(self) -> str:
        return self.user_id or self.order_id or ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonalRecord:
    """An order or a payment of theirs."""

    record_id: str
    obstacle: str | None
    """Why its data is still needed, in words; None where it is not."""
    is_erased: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Erased:
    """What was done in one service, by kind, and how many records it was of."""

    records: int
    parts: Mapping[str, int]


class ErasureRefused(Exception):
    """Something of this person is still open, and needs what would be erased."""

    def __init__(self, obstacles: Sequence[str]) -> None:
        self.obstacles = obstacles
        super().__init__("; ".join(obstacles))


class PersonalRecords(Protocol):
    """What a service keeps of persons, within a unit of work."""

    async def of(self, person: Person) -> Sequence[PersonalRecord]:
        """Their records, locked until the end of the unit of work."""
        ...

    async def erase(self, person: Person, records: Sequence[str], caller: Caller) -> Mapping[str, int]:
        """Destroy the data keys of these records, blank what is under none, and note it in their history.

        How many of each kind there were.
        """
        ...

    async def erase_unfiled(self, person: Person, records: Sequence[str], *, after: str | None) -> "Unfiled":
        """Blank a page of what is filed under nobody and speaks of these records: kept answers, webhooks."""
        ...


@dataclass(frozen=True, slots=True)
class Unfiled:
    blanked: Mapping[str, int]
    after: str | None
    """Where the next page begins; None behind the last."""


class ErasureUnitOfWork(Protocol):
    @property
    def personal(self) -> PersonalRecords: ...

    @property
    def audit(self) -> AuditLog: ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...

    async def commit(self) -> None: ...


@dataclass(frozen=True, slots=True)
class EraseCustomerHandler:
    unit_of_work: Callable[[], ErasureUnitOfWork]
    clock: Clock

    async def check(self, person: Person) -> Sequence[PersonalRecord]:
        """What there is of theirs. Raises ErasureRefused."""
        async with self.unit_of_work() as uow:
            return await self._unhindered(uow, person)

    async def __call__(self, person: Person, caller: Caller) -> Erased:
        """Erase what is kept of this person. Raises ErasureRefused, and then nothing was erased."""
        async with self.unit_of_work() as uow:
            records = await self._unhindered(uow, person)
            fresh = [one.record_id for one in records if not one.is_erased]
            counts = dict(await uow.personal.erase(person, fresh, caller)) if fresh else {}
            if fresh:
                await uow.audit.append(self._entry(person, caller, counts))
            await uow.commit()
        await self._erase_unfiled(person, [one.record_id for one in records], counts)
        return Erased(records=len(records), parts={name: count for name, count in counts.items() if count})

    async def _unhindered(self, uow: ErasureUnitOfWork, person: Person) -> Sequence[PersonalRecord]:
        records = await uow.personal.of(person)
        if obstacles := [f"{one.record_id} {one.obstacle}" for one in records if one.obstacle]:
            raise ErasureRefused(obstacles)
        return records

    async def _erase_unfiled(self, person: Person, records: Sequence[str], counts: dict[str, int]) -> None:
        """In pages, each in a transaction of its own: these tables are large, and their rows locked briefly."""
        after: str | None = ""
        while after is not None:
            async with self.unit_of_work() as uow:
                page = await uow.personal.erase_unfiled(person, records, after=after or None)
                await uow.commit()
            for name, count in page.blanked.items():
                counts[name] = counts.get(name, 0) + count
            after = page.after

    def _entry(self, person: Person, caller: Caller, counts: Mapping[str, int]) -> AuditEntry:
        return AuditEntry.of(
            caller,
            "customer.erase",
            "customer" if person.user_id else "order",
            person.subject,
            at=self.clock.now(),
            after=dict(counts),
        )
