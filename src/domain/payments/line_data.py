"""Level 2 and 3 data: an order's lines and totals, with which cards of companies cost less.

No payment fails for them. The gateway port knows the rules; here is what they come to.
"""

from dataclasses import dataclass
from enum import StrEnum


class LineItems(StrEnum):
    """What became of the lines and totals that a payment was given."""

    SENT = "SENT"
    LEFT_OUT = "LEFT_OUT"
    """The payment went its way without them; the faults say why."""


@dataclass(frozen=True, slots=True)
class LineFault:
    """What is missing or does not add up; `pointer` is the JSON pointer of the field in the request."""

    pointer: str
    message: str


@dataclass(frozen=True, slots=True)
class LevelCheck:
    """Whether the data suffice for a level's rates, as far as they decide it: cards and trades do, too."""

    faults: tuple[LineFault, ...]

    @property
    def qualifies(self) -> bool:
        return not self.faults


@dataclass(frozen=True, slots=True, kw_only=True)
class LineCheck:
    """What a gateway would make of a draft's lines and totals. `faults` are what it refuses: all are left out then."""

    given: bool
    faults: tuple[LineFault, ...]
    level2: LevelCheck
    level3: LevelCheck

    @property
    def outcome(self) -> LineItems | None:
        """None where there is nothing to send."""
        if not self.given:
            return None
        return LineItems.LEFT_OUT if self.faults else LineItems.SENT
