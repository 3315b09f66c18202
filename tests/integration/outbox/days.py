"""Days long past in a log or an inbox of today."""

from datetime import UTC, date, datetime, timedelta
from uuid import UUID, uuid4

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from outbox import Event
from tests.integration.outbox.events import event

OLD_DAY = date(2020, 1, 1)


async def log_of_old_day(engine: AsyncEngine, day: date = OLD_DAY) -> str:
    """Make the log's partition of that day; events are written into it from now on. Its name."""
    name = f"outbox_event_{day:%Y%m%d}"
    start, end = (f"{d} 00:00+00" for d in (day, day + timedelta(days=1)))
    async with engine.begin() as connection:
        await connection.execute(
            text(
                f"CREATE TABLE shop.{name} PARTITION OF shop.outbox_event FOR VALUES FROM ('{start}') TO ('{end}')"
            )
        )
        await connection.execute(
            text(f"ALTER TABLE shop.outbox_event ALTER created_at SET DEFAULT '{day} 12:00+00'")
        )
    return name


async def log_of_today(engine: AsyncEngine) -> None:
    """Events are written into today's partition again."""
    async with engine.begin() as connection:
        await connection.execute(
            text("ALTER TABLE shop.outbox_event ALTER created_at SET DEFAULT clock_timestamp()")
        )


async def inbox_of_old_day(engine: AsyncEngine, day: date = OLD_DAY) -> str:
    """Make the unordered inbox's partition of that day; its name."""
    name = f"inbox_event_{day:%Y%m%d}"
    async with engine.begin() as connection:
        first, last = [
            await connection.scalar(text("SELECT orders.inbox_first_id(:day)"), {"day": d})
            for d in (day, day + timedelta(days=1))
        ]
        await connection.execute(
            text(
                f"CREATE TABLE orders.{name} PARTITION OF orders.inbox_event "
                f"FOR VALUES FROM ('{first}') TO ('{last}')"
            )
        )
    return name


def uuid7(day: date) -> UUID:
    """An id of version 7 (RFC 9562, section 5.7) made at noon of that day."""
    milliseconds = int((datetime(day.year, day.month, day.day, 12, tzinfo=UTC)).timestamp() * 1000)
    rest = uuid4().int & ((1 << 76) - 1)
    return UUID(int=milliseconds << 80 | 0x7 << 76 | rest & ~(0b11 << 62) | 0b10 << 62)


def event_of(day: date, stream: str = "o") -> Event:
    """An event of no order whose id was made that day."""
    made = event(stream, None)
    return Event(uuid7(day), made.topic, stream, None, made.type, made.payload, made.headers)
