"""Whether an audit log is still as it was written: its chain is followed, entry by entry."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from domain.shared.audit import GENESIS, AuditReader, AuditRecord, chained, entry_of

KEPT_FAULTS = 100
PAGE = 2_000


class FaultKind(StrEnum):
    MISSING = "MISSING"
    """The log has no entries of these numbers, which others come after."""
    BROKEN = "BROKEN"
    """Text and hash do not follow from the entry before: one of the two was changed, or what stood between
    them was removed, inserted or reordered."""
    UNREADABLE = "UNREADABLE"
    """The chain holds, and the text is not that of an entry: it was not written by us."""
    CUT = "CUT"
    """The log ends before an entry that is known to have been there."""
    DIFFERS = "DIFFERS"
    """The hash is not the one that is known: this entry or one before it was changed, and what follows written anew."""


@dataclass(frozen=True, slots=True)
class ChainFault:
    """What is wrong, first seen at `position`; `until` is the last position it holds for."""

    kind: FaultKind
    position: int
    until: int


@dataclass(frozen=True, slots=True)
class Head:
    """A place of the chain: this entry had this hash."""

    position: int
    hash: bytes

    def __str__(self) -> str:
        return f"{self.position}:{self.hash.hex()}"


@dataclass(slots=True)
class ChainCheck:
    """Takes a log's records in the order of their positions. Each fault is named, and the check goes on behind it.

    `known` are heads that were seen before: only by them the end of a log can be told from a cut.
    """

    known: Sequence[Head] = ()
    head: Head = field(default_factory=lambda: Head(0, GENESIS))
    faults: list[ChainFault] = field(default_factory=list)
    """The first hundred."""
    fault_count: int = 0

    def take(self, record: AuditRecord) -> None:
        """The next record. Raises ValueError where records come out of order."""
        before, position = self.head, record.position
        if position <= before.position:
            raise ValueError(f"entry {position} came behind entry {before.position}")
        self.head = Head(position, record.hash)
        if position != before.position + 1:  # what it follows is not known
            self._note(FaultKind.MISSING, before.position + 1, position - 1)
        elif chained(before.hash, record.text) != record.hash:
            self._note(FaultKind.BROKEN, position)
        elif not _is_entry(record.text):
            self._note(FaultKind.UNREADABLE, position)
        if any(one.position == position and one.hash != record.hash for one in self.known):
            self._note(FaultKind.DIFFERS, position)

    def end(self) -> None:
        """There are no more records."""
        last = max((one.position for one in self.known), default=0)
        if last > self.head.position:
            self._note(FaultKind.CUT, self.head.position + 1, last)

    @property
    def is_sound(self) -> bool:
        return self.fault_count == 0

    def _note(self, kind: FaultKind, position: int, until: int | None = None) -> None:
        self.fault_count += 1
        if len(self.faults) < KEPT_FAULTS:
            self.faults.append(ChainFault(kind, position, position if until is None else until))


async def check_chain(log: AuditReader, known: Sequence[Head] = ()) -> ChainCheck:
    """Follow the whole chain, a page at a time, so that its length costs time and no memory."""
    check = ChainCheck(known)
    while records := await log.after(check.head.position, limit=PAGE):
        for record in records:
            check.take(record)
    check.end()
    return check


def _is_entry(text: str) -> bool:
    try:
        entry_of(text)
    except ValueError:
        return False
    return True
