"""What the operators are told of each day: in the words of a mail."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Protocol

from domain.reconciliation.finding import FindingStatus, FindingType

DayCounts = Mapping[tuple[FindingType, FindingStatus], int]
"""Findings first seen on a day, by type and by what has become of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DaySummary:
    day: date
    """In UTC."""
    looked_at: Mapping[str, int]
    """How often something was compared, by the books' names: each order or payment many times a day."""
    found: DayCounts
    open: Mapping[FindingType, int]
    """Now, whenever they were found."""
    drift_seconds: float
    """Age of the oldest open finding."""
    ledger_faults: Sequence[str] | None
    """Why the ledger does not tie out; None where nobody has checked it."""

    @property
    def message_id(self) -> str:
        """The same each time the summary of this day is sent, so that a repeat can be recognised."""
        return f"reconciliation-{self.day.isoformat()}"

    @property
    def is_clean(self) -> bool:
        return not self.open and not self.ledger_faults

    @property
    def subject(self) -> str:
        if self.is_clean:
            return f"Books of {self.day.isoformat()}: they agree"
        left = sum(self.open.values())
        ledger = ", the ledger does not tie out" if self.ledger_faults else ""
        return f"Books of {self.day.isoformat()}: {left} finding(s) open{ledger}"

    def lines(self) -> Iterator[str]:
        for name, number in sorted(self.looked_at.items()):
            yield f"Compared, {name}: {number} times an order or a payment was looked at."
        yield f"Found: {sum(self.found.values())}."
        for (type, status), number in sorted(self.found.items()):
            yield f"  {number} × {type}, {status.lower()} by now"
        yield f"Open now: {sum(self.open.values())}."
        for type, number in sorted(self.open.items()):
            yield f"  {number} × {type}: {type.meaning}"
        if self.open:
            yield f"The oldest has been open for {self.drift_seconds:.0f} s."
        if self.ledger_faults is not None:
            yield "The ledger ties out." if not self.ledger_faults else "The ledger does not tie out:"
            yield from (f"  {fault}" for fault in self.ledger_faults)


class OperatorNotifier(Protocol):
    async def tell(self, summary: DaySummary) -> None:
        """Send it, at least once with its stable id. Raises whatever may be over later."""
        ...
