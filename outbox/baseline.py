"""Where a consumer begins that comes when the log is already long: after what is committed at that moment.

The line is a snapshot. It needs no lock, since what it leaves out is exactly what was not committed
yet: a stream's events are committed in the order of their numbers, so those on this side of the
line are 1 to n, and the consumer begins at n + 1. Streams begun later begin at 1, as ever.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

AT_ONCE = 10_000  # streams


def readers_of(consumer: str) -> tuple[str, str]:
    """As whom anti-entropy reads the log for a consumer: with its window, and with the sweep over all of it."""
    return f"anti-entropy:{consumer}", f"sweep:{consumer}"


class ConsumerAlreadyBegun(Exception):
    """Anti-entropy already compares this consumer with the whole log."""


@dataclass(frozen=True, slots=True)
class Baseline:
    """What had been committed before a consumer came. `snapshot` is PostgreSQL's own text of it."""

    consumer: str
    topic: str
    snapshot: str
    last_numbers: Mapping[str, int]  # of each ordered stream in the log: its last number by then


async def record_baseline(
    connection: AsyncConnection, schema: str, consumer: str, topic: str, lanes: int
) -> Baseline:
    """See Outbox.begin_consumer."""
    event = f"{schema}.outbox_event"
    asked = {"consumer": consumer, "topic": topic}
    # Rows that came with a dump of another cluster may carry transaction ids from the future: by position.
    is_new = await connection.scalar(
        text(
            f"""
            INSERT INTO {schema}.outbox_baseline (consumer, topic, system_identifier, snapshot, restored_position)
            SELECT CAST(:consumer AS text), CAST(:topic AS text),
                (SELECT system_identifier FROM pg_control_system()), pg_current_snapshot(),
                coalesce(max(newest.position), 0)
            FROM generate_series(0, CAST(:lanes AS integer) - 1) AS l (lane)
            LEFT JOIN LATERAL (
                SELECT max(position) AS position FROM {event} AS e
                WHERE e.lane = l.lane AND e.xid >= pg_snapshot_xmax(pg_current_snapshot())
            ) AS newest ON true
            ON CONFLICT (consumer) DO NOTHING RETURNING true
            """
        ),
        {**asked, "lanes": lanes},
    )
    if is_new:
        await _place_window(connection, schema, consumer, lanes)
    result = await connection.execute(
        text(
            f"""
            SELECT topic, CAST(snapshot AS text) AS snapshot, restored_position FROM {schema}.outbox_baseline
            WHERE consumer = :consumer
            """
        ),
        {"consumer": consumer},
    )
    line = result.one()
    if line.topic != topic:
        raise ValueError(f"{consumer} has a baseline in topic {line.topic} already, not in {topic}")
    numbers = await connection.execute(
        text(
            f"""
            SELECT stream, max(sequence) AS last FROM {event}
            WHERE topic = :topic AND sequence IS NOT NULL AND (
                pg_visible_in_snapshot(xid, CAST(CAST(:snapshot AS text) AS pg_snapshot)) OR position <= :restored
            )
            GROUP BY stream
            """
        ),
        {"topic": topic, "snapshot": line.snapshot, "restored": line.restored_position},
    )
    return Baseline(consumer, topic, line.snapshot, {row.stream: row.last for row in numbers})


async def _place_window(connection: AsyncConnection, schema: str, consumer: str, lanes: int) -> None:
    """Let anti-entropy's window begin at the line. Raises ConsumerAlreadyBegun."""
    window, _ = readers_of(consumer)
    asked = {"publisher": window, "lanes": lanes}
    await connection.execute(
        text(
            f"""
            INSERT INTO {schema}.outbox_lane (publisher, lane)
            SELECT :publisher, n FROM generate_series(0, CAST(:lanes AS integer) - 1) AS n
            ON CONFLICT DO NOTHING
            """
        ),
        asked,
    )
    # Locked as by a reader, so that none can begin at the beginning beside us.
    await connection.execute(
        text(f"SELECT FROM {schema}.outbox_lane WHERE publisher = :publisher FOR UPDATE"), asked
    )
    begun = text(f"SELECT EXISTS (SELECT FROM {schema}.outbox_cursor WHERE publisher = :publisher)")
    if await connection.scalar(begun, asked):
        raise ConsumerAlreadyBegun(f"{consumer} is compared with the whole log already")
    await connection.execute(
        text(
            f"""
            INSERT INTO {schema}.outbox_cursor (
                publisher, lane, entry, system_identifier, base, last_position, highest_position, restored_position
            )
            SELECT :publisher, n, 1, b.system_identifier, b.snapshot, 0, b.restored_position, b.restored_position
            FROM generate_series(0, CAST(:lanes AS integer) - 1) AS n, {schema}.outbox_baseline AS b
            WHERE b.consumer = :consumer
            """
        ),
        {**asked, "consumer": consumer},
    )


async def begin_streams(
    connection: AsyncConnection, schema: str, consumer: str, last_numbers: Mapping[str, int]
) -> None:
    """See OrderedInbox.begin_at."""
    numbers = iter(sorted(last_numbers.items()))
    while chunk := list(islice(numbers, AT_ONCE)):
        await _begin_chunk(connection, schema, consumer, chunk)


async def _begin_chunk(
    connection: AsyncConnection, schema: str, consumer: str, numbers: Sequence[tuple[str, int]]
) -> None:
    streams = [stream for stream, _ in numbers]
    asked = {"consumer": consumer, "streams": streams, "numbers": [last for _, last in numbers]}
    await connection.execute(
        text(
            f"""
            INSERT INTO {schema}.inbox_stream AS s (consumer, stream, applied)
            SELECT :consumer, b.* FROM unnest(CAST(:streams AS text[]), CAST(:numbers AS bigint[])) AS b
            ON CONFLICT (consumer, stream) DO UPDATE SET applied = excluded.applied, recent_ids = '{{}}'
            WHERE s.applied < excluded.applied
            """
        ),
        asked,
    )
    # What came early has waited for events that are not for this consumer.
    await connection.execute(
        text(
            f"""
            DELETE FROM {schema}.inbox_waiting AS w
            USING unnest(CAST(:streams AS text[]), CAST(:numbers AS bigint[])) AS b (stream, last)
            WHERE w.consumer = :consumer AND w.stream = b.stream AND w.sequence <= b.last
            """
        ),
        asked,
    )
    await connection.execute(
        text(
            f"""
            UPDATE {schema}.inbox_waiting AS w SET due_at = clock_timestamp()
            FROM {schema}.inbox_stream AS s
            WHERE s.consumer = :consumer AND s.stream = ANY (CAST(:streams AS text[])) AND s.forked IS NULL
                AND w.consumer = s.consumer AND w.stream = s.stream AND w.sequence = s.applied + 1
                AND w.due_at IS NULL AND w.parked_at IS NULL
            """
        ),
        {"consumer": consumer, "streams": streams},
    )
