"""The statements of outbox.operations: each by index, and bounded where there could be many rows."""

from sqlalchemy import TextClause, text

# Words that hold a digit (ids, numbers, amounts) differ between failures of one cause.
_CAUSE = "regexp_replace(coalesce({}, 'unknown'), '[A-Za-z0-9_-]*[0-9][A-Za-z0-9_-]*', '#', 'g')"

_LISTED = """
    e.lane, e.position, e.created_at, e.id, e.topic, e.stream, e.sequence, e.type,
    CAST(e.payload AS text) AS payload, CAST(e.headers AS text) AS headers
"""


class LogSql:
    """What is asked of the producer's tables."""

    def __init__(self, schema: str) -> None:
        event, cursor, gap, round_ = (
            f"{schema}.outbox_{name}" for name in ("event", "cursor", "gap", "round")
        )
        self.now = text("SELECT clock_timestamp()")
        self.log = text(
            f"""
            SELECT EXISTS (SELECT FROM {event}_default) AS is_default_used,
                (SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM {event}_position) AS last_position
            """
        )
        self.arrivals = text(
            f"""
            SELECT count(*) AS newest, count(*) FILTER (WHERE e.age < 60) AS recent, max(e.age) AS span
            FROM generate_series(0, CAST(:lanes AS integer) - 1) AS l (lane)
            CROSS JOIN LATERAL (
                SELECT CAST(extract(epoch FROM clock_timestamp() - created_at) AS float8) AS age
                FROM {event} WHERE lane::integer = l.lane ORDER BY position DESC LIMIT :limit
            ) AS e
            GROUP BY l.lane
            """
        )
        self.lanes = text(
            f"""
            SELECT l.lane, c.entry IS NOT NULL AS has_begun, coalesce(c.events, 0) AS events, u.number,
                CAST(extract(epoch FROM clock_timestamp() - u.oldest) AS float8) AS oldest_seconds,
                coalesce(before.events, first.events, 0) AS events_before,
                CAST(least(extract(epoch FROM clock_timestamp() - first.taken_at), 60) AS float8) AS span
            FROM {_newest(cursor)}
            LEFT JOIN LATERAL (
                SELECT events, taken_at FROM {cursor} WHERE publisher = :publisher AND lane = l.lane
                ORDER BY entry LIMIT 1
            ) AS first ON true
            LEFT JOIN LATERAL (
                SELECT events FROM {cursor} WHERE publisher = :publisher AND lane = l.lane
                    AND taken_at < clock_timestamp() - interval '60 s'
                ORDER BY entry DESC LIMIT 1
            ) AS before ON true
            CROSS JOIN LATERAL (
                SELECT count(*) AS number, min(created_at) AS oldest FROM {_unseen(event)}
            ) AS u
            ORDER BY l.lane
            """
        )
        self.after_edge = text(
            f"""
            SELECT l.lane, u.id, u.stream, u.sequence, u.topic, u.created_at FROM {_newest(cursor)}
            CROSS JOIN LATERAL (SELECT * FROM {_unseen(event)}) AS u
            """
        )
        # The edge was a target, then became the base: the first entry that speaks of it tells when.
        self.edge = text(
            f"""
            SELECT CAST(extract(epoch FROM clock_timestamp() - min(e.taken_at)) AS float8) AS seconds
            FROM {_newest(cursor)}
            LEFT JOIN LATERAL (
                SELECT min(taken_at) AS taken_at FROM {cursor}
                WHERE publisher = :publisher AND lane = l.lane AND CAST(c.base AS text) <> '1:1:'
                    AND CAST(c.base AS text) IN (CAST(base AS text), CAST(target AS text))
            ) AS e ON true
            HAVING count(e.taken_at) = count(*)
            """
        )
        self.gaps = text(
            f"""
            SELECT g.id, g.stream, g.sequence, e.created_at
            FROM (SELECT * FROM {gap} WHERE consumer = :consumer ORDER BY due_at LIMIT :limit) AS g
            LEFT JOIN {event} AS e ON e.lane::integer = g.lane AND e.position = g.position
            """
        )
        self.last_round = text(
            f"""
            SELECT *, CAST(extract(epoch FROM clock_timestamp() - ended_at) AS float8) AS ended_seconds
            FROM {round_} WHERE consumer = :consumer ORDER BY round DESC LIMIT 1
            """
        )
        self.newest_page = text(
            f"""
            SELECT {_LISTED} FROM generate_series(0, CAST(:lanes AS integer) - 1) AS l (lane)
            CROSS JOIN LATERAL (
                SELECT * FROM {event} WHERE lane::integer = l.lane ORDER BY position DESC LIMIT :limit
            ) AS e
            ORDER BY e.position DESC LIMIT :limit
            """
        )
        self.page = text(
            f"""
            SELECT {_LISTED} FROM generate_series(0, CAST(:lanes AS integer) - 1) AS l (lane)
            CROSS JOIN LATERAL (
                SELECT * FROM {event}
                WHERE lane::integer = l.lane AND position > :after AND position <= :until
                ORDER BY position LIMIT :limit
            ) AS e
            ORDER BY e.position LIMIT :limit
            """
        )
        # A stream is short: to sort it is cheap.
        self.stream_page = text(
            f"""
            SELECT {_LISTED} FROM {event} AS e
            WHERE e.topic = ANY (CAST(:topics AS text[])) AND e.stream = :stream
                AND e.position > :after AND e.position <= :until
            ORDER BY e.position LIMIT :limit
            """
        )
        self.made_after = text(
            f"""
            SELECT e.created_at FROM generate_series(0, CAST(:lanes AS integer) - 1) AS l (lane)
            CROSS JOIN LATERAL (
                SELECT created_at, position FROM {event} WHERE lane::integer = l.lane AND position >= :position
                ORDER BY position LIMIT 1
            ) AS e
            ORDER BY e.position LIMIT 1
            """
        )


def _newest(cursor: str) -> str:
    """The lanes as l, and as c the newest entry of the publisher in each; NULLs before the first."""
    return f"""
        generate_series(0, CAST(:lanes AS integer) - 1) AS l (lane)
        LEFT JOIN LATERAL (
            SELECT *,
                coalesce(restored_base IS NULL AND target IS NOT NULL AND last_position > 0, false) AS is_resumed
            FROM {cursor} WHERE publisher = :publisher AND lane = l.lane ORDER BY entry DESC LIMIT 1
        ) AS c ON true
    """


def _unseen(event: str) -> str:
    """The first rows of lane l that the reader at c has not passed, at most :limit of each kind.

    As the relay reads them: those of transactions that began after the snapshot it has come to, those
    open in it, the rest of a target that it is in the middle of, and the rest of a restored dump.
    """
    columns = "e.id, e.topic, e.stream, e.sequence, e.created_at"
    seen = "CASE WHEN c.is_resumed THEN c.target ELSE coalesce(c.base, CAST('1:1:' AS pg_snapshot)) END"
    return f"""
        (
            (
                SELECT {columns} FROM {event} AS e
                WHERE e.lane = l.lane AND e.xid >= pg_snapshot_xmax({seen})
                    AND e.xid < pg_snapshot_xmax(pg_current_snapshot())
                    AND e.position > coalesce(c.restored_position, 0)
                ORDER BY e.xid LIMIT :limit
            )
            UNION ALL
            (
                SELECT e.* FROM pg_snapshot_xip({seen}) AS open (xid)
                CROSS JOIN LATERAL (
                    SELECT {columns} FROM {event} AS e WHERE e.lane = l.lane AND e.xid = open.xid
                        AND e.position > coalesce(c.restored_position, 0)
                    OFFSET 0
                ) AS e
                LIMIT :limit
            )
            UNION ALL
            (
                SELECT {columns} FROM {event} AS e
                WHERE c.is_resumed AND e.lane::integer = l.lane
                    AND e.position > greatest(c.last_position, c.restored_position)
                    AND pg_visible_in_snapshot(e.xid, c.target) AND NOT pg_visible_in_snapshot(e.xid, c.base)
                ORDER BY e.position LIMIT :limit
            )
            UNION ALL
            (
                SELECT {columns} FROM {event} AS e
                WHERE c.restored_base IS NOT NULL AND e.lane::integer = l.lane
                    AND e.position > c.last_position AND e.position <= c.restored_position
                    AND (e.position > c.highest_position OR NOT pg_visible_in_snapshot(e.xid, c.restored_base))
                ORDER BY e.position LIMIT :limit
            )
        ) AS unseen
    """


class InboxSql:
    """What is asked of a consumer's tables: `held` where it keeps what is not applied, by kind of inbox."""

    def __init__(self, schema: str, *, is_ordered: bool) -> None:
        held = f"{schema}.inbox_waiting" if is_ordered else f"{schema}.inbox_event"
        forked = f"SELECT stream, forked FROM {schema}.inbox_stream WHERE consumer = :consumer AND forked IS NOT NULL"
        if not is_ordered:
            forked = "SELECT CAST(NULL AS text) AS stream, CAST(NULL AS text) AS forked WHERE false"
        self.counts = _counts(held, forked, is_ordered=is_ordered)
        self.dead = text(
            f"""
            SELECT kind AS cause, (array_agg(cause ORDER BY parked_at DESC))[1] AS example,
                count(*) AS events, count(DISTINCT stream) AS streams,
                min(parked_at) AS first_at, max(parked_at) AS last_at,
                (array_agg(id ORDER BY parked_at DESC))[1:3] AS event_ids,
                (array_agg(DISTINCT stream))[1:3] AS stream_names
            FROM (
                SELECT id, stream, parked_at, coalesce(cause, 'unknown') AS cause, {_CAUSE.format("cause")} AS kind
                FROM {held} WHERE consumer = :consumer AND parked_at IS NOT NULL
                ORDER BY parked_at DESC LIMIT :limit
            ) AS parked
            GROUP BY kind
            """
        )
        # Streams whose fork stands on no parked event: the consumer is ahead of the log.
        self.forked = text(
            f"""
            SELECT kind AS cause, min(forked) AS example, count(*) AS streams,
                (array_agg(stream ORDER BY stream))[1:3] AS stream_names
            FROM (
                SELECT f.stream, f.forked, {_CAUSE.format("f.forked")} AS kind
                FROM ({forked} LIMIT :limit) AS f
                WHERE NOT EXISTS (
                    SELECT FROM {held} AS h WHERE h.consumer = :consumer AND h.stream = f.stream
                        AND h.parked_at IS NOT NULL AND h.cause = f.forked
                )
            ) AS f
            GROUP BY kind
            """
        )
        same_cause = f"= {_CAUSE.format('CAST(:cause AS text)')}"
        of_cause = f"FROM {held} WHERE consumer = :consumer AND parked_at IS NOT NULL AND {_CAUSE.format('cause')} {same_cause}"
        # What goes on: streams where they have an order, else events.
        self.of_cause = text(
            f"""
            SELECT stream {of_cause}
            UNION SELECT stream FROM ({forked}) AS f WHERE {_CAUSE.format("forked")} {same_cause}
            ORDER BY stream LIMIT :limit
            """
            if is_ordered
            else f"SELECT id {of_cause} ORDER BY parked_at LIMIT :limit"
        )
        self.stream_of_parked = text(
            f"""
            SELECT stream FROM {held}
            WHERE consumer = :consumer AND parked_at IS NOT NULL AND id = CAST(:id AS uuid)
            """
        )
        self.is_stuck = text(
            f"""
            SELECT EXISTS (SELECT FROM ({forked}) AS f WHERE f.stream = :stream) OR EXISTS (
                SELECT FROM {held}
                WHERE consumer = :consumer AND stream = :stream AND parked_at IS NOT NULL
            )
            """
        )


def _counts(held: str, forked: str, *, is_ordered: bool) -> TextClause:
    kinds = {
        "due": "due_at IS NOT NULL ORDER BY due_at",
        "parked": "parked_at IS NOT NULL ORDER BY parked_at",
    }
    if is_ordered:
        kinds["waiting"] = "due_at IS NULL AND parked_at IS NULL ORDER BY received_at"
    bounded = ", ".join(
        f"""
        (
            SELECT count(*) AS {kind}, min(received_at) AS {kind}_since FROM (
                SELECT received_at FROM {held} WHERE consumer = :consumer AND {condition} LIMIT :limit
            ) AS h
        ) AS {kind}_rows
        """
        for kind, condition in kinds.items()
    )
    waiting = "waiting" if is_ordered else "0 AS waiting"
    since = ", ".join(f"{kind}_since" for kind in kinds)
    return text(
        f"""
        SELECT {waiting}, due, parked, (SELECT count(*) FROM ({forked} LIMIT :limit) AS f) AS forked,
            CAST(extract(epoch FROM clock_timestamp() - least({since})) AS float8) AS oldest_seconds,
            (
                SELECT CAST(extract(epoch FROM clock_timestamp() - due_at) AS float8) FROM {held}
                WHERE consumer = :consumer AND due_at < clock_timestamp() ORDER BY due_at LIMIT 1
            ) AS overdue_seconds
        FROM {bounded}
        """
    )
