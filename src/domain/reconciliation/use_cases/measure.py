"""How far the books are from agreeing: for metrics, `/readyz` and the daily summary."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from domain.reconciliation.finding import FindingType
from domain.reconciliation.ports import UnitOfWorkFactory
from domain.shared.system import Clock

ROUNDS = ("orders", "gateway")
"""The continuous comparisons: of orders with payments, and of payments with the gateway."""


def round_of(name: str) -> str:
    """The cursor that says when the last round of this comparison was completed, under `completedAt`."""
    return f"{name}: round"


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    drift_seconds: float
    """Age of the oldest open disagreement; 0 where there is none."""
    open: Mapping[FindingType, int]
    completed_at: Mapping[str, datetime]
    """When the last round of each comparison was completed; one that has never been is left out."""

    @property
    def open_findings(self) -> int:
        return sum(self.open.values())


@dataclass(frozen=True, slots=True)
class MeasureHandler:
    """`databases` are those that findings are kept in, each once."""

    databases: Sequence[UnitOfWorkFactory]
    clock: Clock

    async def __call__(self) -> Measured:
        """Raises Unavailable."""
        oldest: list[datetime] = []
        counted: Counter[FindingType] = Counter()
        completed_at: dict[str, datetime] = {}
        for unit_of_work in self.databases:
            async with unit_of_work() as uow:
                counted.update(await uow.findings.count_open())
                first_seen = await uow.findings.oldest_open()
                for name in ROUNDS:
                    done = await uow.cursors.get(round_of(name))
                    if done is not None:
                        completed_at[name] = datetime.fromisoformat(done["completedAt"])
            oldest += [first_seen] if first_seen else []
        now = self.clock.now()
        drift = max((now - moment).total_seconds() for moment in oldest) if oldest else 0.0
        return Measured(drift_seconds=max(drift, 0.0), open=counted, completed_at=completed_at)
