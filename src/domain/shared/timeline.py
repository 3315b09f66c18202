"""What `explain` tells of an order: entries that each side makes of what it keeps, and the other can place."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class TimelineKind(StrEnum):
    REQUEST = "REQUEST"
    """A client asked for something."""
    ATTEMPT = "ATTEMPT"
    """The order side asked the payment side, and what that answered."""
    OPERATION = "OPERATION"
    """A call to the gateway that can move money."""
    WEBHOOK = "WEBHOOK"
    """The gateway reported something."""
    EVENT = "EVENT"
    """A payment event: committed by the payment side, applied by the order."""
    REFUND = "REFUND"
    DISPUTE = "DISPUTE"
    LEDGER = "LEDGER"
    """What was posted of its money."""
    FINDING = "FINDING"
    """Where a comparison of the books has found that they differ."""
    EFFECT = "EFFECT"
    """Something the order asked the world outside for."""
    DELIVERY = "DELIVERY"
    """A webhook of ours to an endpoint outside."""
    AUDIT = "AUDIT"
    """Somebody did something with authority; told to operators alone."""
    SWEEP = "SWEEP"
    """Time passed, and a sweep acted on it."""


Detail = str | int | bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TimelineEntry:
    """One thing, in one sentence for a support person (`title`, with the `reason`) and details for an engineer.

    Names in `ids` and `details` are those of the API; times in `details` are RFC 3339.
    """

    at: datetime
    kind: TimelineKind
    title: str
    reason: str | None = None
    ids: Mapping[str, str] = field(default_factory=dict)
    details: Mapping[str, Detail] = field(default_factory=dict)
    position: int | None = None
    """Its place in the order's history; None for what the payment side or an inbox tells."""


def known(**values: Detail) -> dict[str, Detail]:
    """Those that are not None."""
    return {name: value for name, value in values.items() if value is not None}


def ids_of(**values: str | None) -> dict[str, str]:
    """Those that are not None."""
    return {name: value for name, value in values.items() if value is not None}


def stamp(time: datetime | None) -> str | None:
    """A time as details have it: texts that sort as the times do."""
    return None if time is None else time.isoformat(timespec="microseconds").replace("+00:00", "Z")
