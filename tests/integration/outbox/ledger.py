"""A consumer with a table of its own: one row per effect, so that a doubled or inverted one shows."""

from collections.abc import Callable, Sequence

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from outbox import Event

CREATE_EFFECTS = "CREATE TABLE effect (place bigserial, stream text, sequence bigint, id uuid)"


class Ledger:
    """A consumer's own table: one row per effect, so that a doubled or inverted effect shows."""

    def __init__(self) -> None:
        self.fails: Callable[[Event], bool] = lambda _: False
        self.batches: list[int] = []

    async def __call__(self, connection: AsyncConnection, events: Sequence[Event]) -> None:
        self.batches.append(len(events))
        await connection.execute(
            text(
                "INSERT INTO effect (stream, sequence, id) SELECT * FROM unnest(CAST(:s AS text[]), CAST(:n AS bigint[]), CAST(:i AS uuid[]))"
            ),
            {
                "s": [e.stream for e in events],
                "n": [e.sequence for e in events],
                "i": [e.id for e in events],
            },
        )
        for e in events:
            if self.fails(e):
                raise RuntimeError(f"cannot apply {e.sequence}")


async def effects(engine: AsyncEngine, stream: str) -> list[int]:
    async with engine.connect() as connection:
        rows = await connection.scalars(
            text("SELECT sequence FROM effect WHERE stream = :s ORDER BY place"), {"s": stream}
        )
        return list(rows)
