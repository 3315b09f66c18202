"""Where a reader stands in each lane, and what comes next for it.

A reader has seen what is visible in its `base` snapshot. It takes a newer snapshot as `target` and
reads the rows visible in that and not in `base`, ordered by position, in pages; once the target is
exhausted it becomes the base. Nothing is lost, since a row that commits late is in neither snapshot
until it is in one; nothing of a stream is inverted, since its writers queue behind one lock.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

from asyncpg import Record
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from outbox.cursor_sql import CursorSql, Pages
from outbox.database import BY_INDEX, driver_of, hex_array, transaction
from outbox.event import Event, EventKey
from outbox.log import Outbox
from outbox.rows import event_of

logger = logging.getLogger(__name__)

NOTHING_SEEN = "1:1:"  # a snapshot taken before the first transaction
# A transaction that reads the log. It need not wait for the disk: a place that a crash of PostgreSQL takes
# back, with the gaps that were recorded beside it, only means that some events are read again.
READING = {"idle_in_transaction_session_timeout": "30s", "synchronous_commit": "off", **BY_INDEX}

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
    events: int  # ever read in this lane, repetitions of a page that was not recorded aside
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


@dataclass(frozen=True, slots=True)
class LoggedKey:
    """What identifies an event, with its address in the log."""

    lane: int
    position: int
    topic: str
    key: EventKey


@dataclass(frozen=True, slots=True)
class Places:
    """Where a reader stands in the lanes it holds, and the snapshot of now.

    Rebased places are to be recorded at once, in a transaction that does nothing else:
    it keeps writers waiting.
    """

    cursors: list[Cursor]
    snapshot: str
    are_rebased: bool = False


Logged = TypeVar("Logged", LoggedEvent, LoggedKey)


class LogReader:
    """Reads the log for one publisher, in transactions of the caller's that hold the lanes' locks."""

    def __init__(self, outbox: Outbox, publisher: str, *, page: int) -> None:
        self.outbox = outbox
        self.publisher = publisher
        self.page = page
        self._sql = CursorSql(outbox.schema)
        self._is_prepared = False

    async def prepare(self, engine: AsyncEngine) -> None:
        """Make the rows that stand for this publisher's lanes, once per reader."""
        if self._is_prepared:
            return
        async with transaction(engine) as connection:
            asked = {"publisher": self.publisher, "lanes": self.outbox.lanes}
            await connection.execute(self._sql.ensure_lanes, asked)
        self._is_prepared = True

    def locking(self, limit: int | None = None) -> str:
        """The first statement of a transaction that reads: locks up to `limit` lanes nobody else holds."""
        return self._sql.lock_lanes % (hex_array([self.publisher]), "ALL" if limit is None else int(limit))

    async def places(self, connection: AsyncConnection) -> Places | None:
        """The places in the lanes that this transaction has locked; None where it got none.

        A statement of its own: one that also took the locks could see the lanes as they
        were before the last holder's commit.
        """
        driver = await driver_of(connection)
        rows = await driver.fetch(self._sql.newest, self.publisher)
        if not rows:
            return None
        cursors, moved = [], set()
        for row in rows:
            cursors.append(_cursor(row) if row["entry"] is not None else self._first(row))
            if row["entry"] is None:
                is_foreign = await connection.scalar(self._sql.has_foreign_rows, {"lane": row["lane"]})
            else:
                is_foreign = row["system_identifier"] != row["current_system"]
            if is_foreign:
                moved.add(row["lane"])
        if not moved:
            return Places(cursors, rows[0]["snapshot"])
        logger.warning("%s.outbox_event was restored from another cluster", self.outbox.schema)
        snapshot, highest = await self._freeze(connection)
        system = rows[0]["current_system"]
        return Places(
            [_rebased(c, system, snapshot, highest) if c.lane in moved else c for c in cursors],
            snapshot,
            are_rebased=True,
        )

    def _first(self, row: Record) -> Cursor:
        return Cursor(
            lane=row["lane"],
            entry=0,
            system_identifier=row["current_system"],
            base=NOTHING_SEEN,
            target=None,
            last_position=0,
            highest_position=0,
            restored_position=0,
            restored_base=None,
            events=0,
            age_seconds=0.0,
        )

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
        return await self._read(connection, cursors, snapshot, self._sql.event_pages, _logged)

    async def read_keys(
        self, connection: AsyncConnection, cursors: Sequence[Cursor], snapshot: str
    ) -> tuple[list[LoggedKey], list[Cursor]]:
        """As `read`, without what the events say, which a comparison does not need."""
        return await self._read(connection, cursors, snapshot, self._sql.key_pages, _logged_key)

    async def _read(
        self,
        connection: AsyncConnection,
        cursors: Sequence[Cursor],
        snapshot: str,
        pages: Pages,
        made: Callable[[Record], Logged],
    ) -> tuple[list[Logged], list[Cursor]]:
        found: dict[int, list[Logged]] = {cursor.lane: [] for cursor in cursors}
        aimed = [cursor if cursor.target else replace(cursor, target=snapshot) for cursor in cursors]
        driver = await driver_of(connection)
        for statement, chosen in _statements(pages, aimed):
            for row in await driver.fetch(statement, *_arrays(chosen), self.page):
                found[row["lane"]].append(made(row))
        events = [logged for cursor in aimed for logged in found[cursor.lane]]
        return events, [self._advanced(c, [logged.position for logged in found[c.lane]]) for c in aimed]

    def _advanced(self, cursor: Cursor, positions: Sequence[int]) -> Cursor:
        cursor = replace(cursor, events=cursor.events + len(positions))
        if len(positions) == self.page:
            passed = replace(cursor, last_position=positions[-1])
            return passed if cursor.restored_base is not None else _with_highest(passed, positions[-1])
        if cursor.restored_base is not None:
            done = replace(cursor, restored_base=None, last_position=0)
            return _with_highest(done, cursor.restored_position)
        assert cursor.target is not None  # given by read()
        done = replace(cursor, base=cursor.target, target=None, last_position=0)
        return _with_highest(done, positions[-1]) if positions else done

    async def append(self, connection: AsyncConnection, cursors: Sequence[Cursor]) -> None:
        """Record these places; what was read up to them counts as done once this commits."""
        if not cursors:
            return
        moved = [replace(cursor, entry=cursor.entry + 1) for cursor in cursors]
        driver = await driver_of(connection)
        entries, systems = [c.entry for c in moved], [c.system_identifier for c in moved]
        events = [c.events for c in moved]
        await driver.execute(self._sql.append, *_arrays(moved), entries, systems, events, self.publisher)
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
        driver = await driver_of(connection)
        rows = await driver.fetch(self._sql.fetch, list(addresses.values()), list(addresses))
        return [_logged(row) for row in rows]


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


def _cursor(row: Record) -> Cursor:
    return Cursor(**{field.name: row[field.name] for field in fields(Cursor)})


def _statements(pages: Pages, cursors: Sequence[Cursor]) -> list[tuple[str, list[Cursor]]]:
    restored = [c for c in cursors if c.restored_base is not None]
    fresh = [c for c in cursors if c.restored_base is None and c.last_position == 0]
    resumed = [c for c in cursors if c.restored_base is None and c.last_position > 0]
    statements = [(pages.restored, restored), (pages.fresh, fresh), (pages.resumed, resumed)]
    return [(statement, chosen) for statement, chosen in statements if chosen]


def _logged_key(row: Record) -> LoggedKey:
    key = EventKey(row["id"], row["stream"], row["sequence"])
    return LoggedKey(row["lane"], row["position"], row["topic"], key)


def _logged(row: Record) -> LoggedEvent:
    return LoggedEvent(row["lane"], row["position"], event_of(row))


def _arrays(cursors: Sequence[Cursor]) -> tuple[list[Any], ...]:
    """What the page statements need of the cursors, as parallel arrays."""
    return (
        [c.lane for c in cursors],
        [c.base for c in cursors],
        [c.target for c in cursors],
        [c.last_position for c in cursors],
        [c.highest_position for c in cursors],
        [c.restored_position for c in cursors],
        [c.restored_base for c in cursors],
    )
