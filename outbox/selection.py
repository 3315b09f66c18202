"""Parts of the log to be read again: a stream, a span of time, in the order of positions."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from outbox.database import transaction
from outbox.operations_sql import LogSql
from outbox.rows import event_of
from outbox.status import ListedEvent

NO_END = 2**63 - 1
# The position and the time of an event are drawn in one statement, yet not in one instant.
SKEW = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Events of these topics: those of one stream, or made from `begin` until before `end`, or both."""

    topics: Sequence[str]
    stream: str | None = None
    begin: datetime | None = None
    end: datetime | None = None
    after: int = 0  # a position: what lies up to it is left out

    def has(self, one: ListedEvent) -> bool:
        return (
            one.event.topic in self.topics
            and (self.begin is None or one.created_at >= self.begin)
            and (self.end is None or one.created_at < self.end)
        )


async def select(
    engine: AsyncEngine,
    sql: LogSql,
    lanes: int,
    settings: Mapping[str, str],
    selection: Selection,
    *,
    page: int,
) -> AsyncIterator[list[ListedEvent]]:
    """The selected events that are there now, in pages; no transaction is open between two."""
    async with transaction(engine, **settings) as connection:
        after, until = await _bounds(connection, sql, lanes, selection)
    asked: dict[str, Any] = {"lanes": lanes, "until": until, "limit": page}
    statement = sql.page
    if selection.stream is not None:
        statement = sql.stream_page
        asked |= {"stream": selection.stream, "topics": list(selection.topics)}
    while True:
        async with transaction(engine, **settings) as connection:
            result = await connection.execute(statement, {**asked, "after": after})
            rows = [listed(row) for row in result]
        if not rows:
            return
        after = rows[-1].position
        if found := [one for one in rows if selection.has(one)]:
            yield found


async def _bounds(
    connection: AsyncConnection, sql: LogSql, lanes: int, selection: Selection
) -> tuple[int, int]:
    """Positions after the first of which, up to the second, everything selected lies."""
    after, until = selection.after, (await connection.execute(sql.log)).one().last_position
    if selection.stream is None:
        if selection.begin is not None:
            after = max(after, await _position_at(connection, sql, lanes, selection.begin - SKEW, until) - 1)
        if selection.end is not None:
            until = await _position_at(connection, sql, lanes, selection.end + SKEW, until)
    return after, until


async def _position_at(
    connection: AsyncConnection, sql: LogSql, lanes: int, time: datetime, last: int
) -> int:
    """The first position from which on events were made at this time or later: by halving, since
    there is no index on the time."""
    low, high = 0, last + 1
    while low < high:
        middle = (low + high) // 2
        made_at = await connection.scalar(sql.made_after, {"lanes": lanes, "position": middle})
        if made_at is None or made_at >= time:
            high = middle
        else:
            low = middle + 1
    return low


def listed(row: Row[Any]) -> ListedEvent:
    return ListedEvent(row.lane, row.position, row.created_at, event_of(row._mapping))
