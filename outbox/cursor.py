"""Where a reader stands in each lane, and what comes next for it.

A reader has seen what is visible in its `base` snapshot. It takes a newer snapshot as `target` and
reads the rows visible in that and not in `base`, ordered by position, in pages; once the target is
exhausted it becomes the base. Nothing is lost, since a row that commits late is in neither snapshot
until it is in one; nothing of a stream is inverted, since its writers queue behind one lock.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Row, TextClause
from sqlalchemy.ext.asyncio import AsyncConnection

from outbox.cursor_sql import CursorSql
from outbox.event import Event
from outbox.log import Outbox
from outbox.rows import event_of

NOTHING_SEEN = "1:1:"  # a snapshot taken before the first transaction
TRIM_EVERY = 32  # entries; a few dead ones per lane cost less than a delete each time


@dataclass(frozen=True, slots=True)
class Cursor:
    """A reader's place in one lane. Snapshots are PostgreSQL's own text of them."""

    lane: int
    entry: int  # counts up with each change; 0 before the first
    system_identifier: int  # of the cluster whose transaction ids the snapshots speak of
    base: str
    target: str | None  # being read: rows up to `last_position` are done
    last_position: int
    highest_position: int  # of all rows ever passed
    restored_position: int  # rows up to here came with a dump of another cluster; 0 for none
    restored_base: str | None  # the base in that other cluster, while those rows are being read
    age_seconds: float  # since this entry was made

    @property
    def is_unfinished(self) -> bool:
        """Whether there is more to read before the base moves on."""
        return self.target is not None or self.restored_base is not None


@dataclass(frozen=True, slots=True)
class LoggedEvent:
    """An event with its address in the log."""

    lane: int
    position: int
    event: Event


class LogReader:
    """Reads the log for one publisher, in transactions of the caller's that hold the lanes' locks."""

    def __init__(self, outbox: Outbox, publisher: str, *, page: int) -> None:
        self.outbox = outbox
        self.publisher = publisher
        self.page = page
        self._sql = CursorSql(outbox.schema)

    async def ensure_lanes(self, connection: AsyncConnection) -> None:
        """Make the rows that stand for this publisher's lanes."""
        await connection.execute(
            self._sql.ensure_lanes, {"publisher": self.publisher, "lanes": self.outbox.lanes}
        )

    async def lock_lanes(self, connection: AsyncConnection, limit: int | None = None) -> list[int]:
        """Lock up to `limit` lanes that nobody else holds, until the transaction ends."""
        rows = await connection.scalars(self._sql.lock_lanes, {"publisher": self.publisher, "limit": limit})
        return sorted(rows)

    async def cursors(self, connection: AsyncConnection, lanes: Sequence[int]) -> tuple[list[Cursor], str]:
        """The places in these locked lanes, and the snapshot of now.

        A statement of its own: one that also took the locks could see the lanes as they
        were before the last holder's commit.
        """
        result = await connection.execute(
            self._sql.newest, {"publisher": self.publisher, "lanes": list(lanes)}
        )
        rows = result.all()
        snapshot: str = rows[0].snapshot
        found = []
        for row in rows:
            if row.entry is None:
                cursor = self._first(row)
                moved = await self._has_foreign_rows(connection, row.lane)
            else:
                cursor = _cursor(row)
                moved = cursor.system_identifier != row.current_system
            found.append((cursor, moved, row.current_system))
        if any(moved for _, moved, _ in found):
            snapshot, highest = await self._freeze(connection)
            return [
                _rebased(cursor, system, snapshot, highest) if moved else cursor
                for cursor, moved, system in found
            ], snapshot
        return [cursor for cursor, _, _ in found], snapshot

    def _first(self, row: Row[Any]) -> Cursor:
        return Cursor(
            lane=row.lane,
            entry=0,
            system_identifier=row.current_system,
            base=NOTHING_SEEN,
            target=None,
            last_position=0,
            highest_position=0,
            restored_position=0,
            restored_base=None,
            age_seconds=0.0,
        )

    async def _has_foreign_rows(self, connection: AsyncConnection, lane: int) -> bool:
        """Whether the lane holds rows that this cluster cannot have written yet."""
        return bool(await connection.scalar(self._sql.has_foreign_rows, {"lane": lane}))

    async def _freeze(self, connection: AsyncConnection) -> tuple[str, int]:
        """The highest position of the log, with no transaction below it still open, and a snapshot of that."""
        await connection.execute(self._sql.lock_timeout)
        await connection.execute(self._sql.lock_log)
        row = (await connection.execute(self._sql.highest_position)).one()
        return row.snapshot, row.highest

    async def read(
        self, connection: AsyncConnection, cursors: Sequence[Cursor], snapshot: str
    ) -> tuple[list[LoggedEvent], list[Cursor]]:
        """Up to one page of each lane, in the order of positions, and the places after them.

        A lane that finished its last target takes `snapshot` as its next one.
        """
        rows: dict[int, list[Row[Any]]] = {cursor.lane: [] for cursor in cursors}
        aimed = [cursor if cursor.target else replace(cursor, target=snapshot) for cursor in cursors]
        for statement, chosen in self._statements(aimed):
            result = await connection.execute(statement, {**_arrays(chosen), "page": self.page})
            for row in result:
                rows[row.lane].append(row)
        events = [_logged(row) for cursor in aimed for row in rows[cursor.lane]]
        return events, [self._advanced(cursor, [r.position for r in rows[cursor.lane]]) for cursor in aimed]

    def _statements(self, cursors: Sequence[Cursor]) -> list[tuple[TextClause, list[Cursor]]]:
        restored = [c for c in cursors if c.restored_base is not None]
        fresh = [c for c in cursors if c.restored_base is None and c.last_position == 0]
        resumed = [c for c in cursors if c.restored_base is None and c.last_position > 0]
        statements = [
            (self._sql.restored_page, restored),
            (self._sql.fresh_page, fresh),
            (self._sql.resumed_page, resumed),
        ]
        return [(statement, chosen) for statement, chosen in statements if chosen]

    def _advanced(self, cursor: Cursor, positions: Sequence[int]) -> Cursor:
        if len(positions) == self.page:
            passed = replace(cursor, last_position=positions[-1])
            return passed if cursor.restored_base is not None else _with_highest(passed, positions[-1])
        if cursor.restored_base is not None:
            done = replace(cursor, restored_base=None, target=None, last_position=0)
            return _with_highest(done, cursor.restored_position)
        assert cursor.target is not None  # given by read()
        done = replace(cursor, base=cursor.target, target=None, last_position=0)
        return _with_highest(done, positions[-1]) if positions else done

    async def append(self, connection: AsyncConnection, cursors: Sequence[Cursor]) -> None:
        """Record these places; what was read up to them counts as done once this commits."""
        moved = [replace(cursor, entry=cursor.entry + 1) for cursor in cursors]
        await connection.execute(self._sql.append, {"publisher": self.publisher, **_columns(moved)})
        trim = [cursor for cursor in moved if cursor.entry % TRIM_EVERY == 0]
        if trim:
            await connection.execute(
                self._sql.trim,
                {
                    "publisher": self.publisher,
                    "lanes": [cursor.lane for cursor in trim],
                    "entries": [cursor.entry for cursor in trim],
                },
            )

    async def fetch(self, connection: AsyncConnection, addresses: Mapping[int, int]) -> list[LoggedEvent]:
        """The events at these positions (position → lane), in the order of positions."""
        result = await connection.execute(
            self._sql.fetch,
            {"lanes": list(addresses.values()), "positions": list(addresses)},
        )
        return [_logged(row) for row in result]


def _with_highest(cursor: Cursor, position: int) -> Cursor:
    return replace(cursor, highest_position=max(cursor.highest_position, position))


def _rebased(cursor: Cursor, system: int, snapshot: str, highest: int) -> Cursor:
    """The place after a dump was restored into another cluster, whose transaction ids mean other things.

    Rows up to `highest` are read by position, all but those that the old base or an old position
    prove to be done; later ones by this cluster's snapshots. Where an earlier restoration
    was still being read, everything is read again: repeats do no harm.
    """
    unfinished = cursor.restored_base is not None
    return replace(
        cursor,
        system_identifier=system,
        base=snapshot,
        target=None,
        last_position=0 if unfinished else cursor.restored_position,
        highest_position=0 if unfinished else cursor.highest_position,
        restored_position=highest,
        restored_base=NOTHING_SEEN if unfinished else cursor.base,
    )


def _cursor(row: Row[Any]) -> Cursor:
    return Cursor(
        row.lane,
        row.entry,
        row.system_identifier,
        row.base,
        row.target,
        row.last_position,
        row.highest_position,
        row.restored_position,
        row.restored_base,
        row.age_seconds,
    )


def _logged(row: Row[Any]) -> LoggedEvent:
    return LoggedEvent(row.lane, row.position, event_of(row))


def _arrays(cursors: Sequence[Cursor]) -> dict[str, list[Any]]:
    """What the page statements need of the cursors, as parallel arrays."""
    return {
        "lanes": [c.lane for c in cursors],
        "bases": [c.base for c in cursors],
        "targets": [c.target for c in cursors],
        "lasts": [c.last_position for c in cursors],
        "highests": [c.highest_position for c in cursors],
        "restoreds": [c.restored_position for c in cursors],
        "restored_bases": [c.restored_base for c in cursors],
    }


def _columns(cursors: Sequence[Cursor]) -> dict[str, list[Any]]:
    return {
        **_arrays(cursors),
        "entries": [c.entry for c in cursors],
        "systems": [c.system_identifier for c in cursors],
    }
