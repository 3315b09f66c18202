"""The statements of outbox.cursor. Each is one round trip, carried by PgBouncer's transaction mode."""

from sqlalchemy import text

_KEY = "e.lane, e.position, e.id, e.topic, e.stream, e.sequence"
_ROW = f"{_KEY}, e.type, e.payload, e.headers"

# Turned into text last, for the rows of the page alone.
_EVENT = f"{_KEY}, e.type, e.payload::text AS payload, e.headers::text AS headers"

# Cursors as parallel arrays, so that one statement serves any number of lanes.
_CURSORS = """
    unnest(
        $1::smallint[], $2::text[]::pg_snapshot[], $3::text[]::pg_snapshot[], $4::bigint[],
        $5::bigint[], $6::bigint[], $7::text[]::pg_snapshot[]
    ) AS c (lane, base, target, last_position, highest_position, restored_position, restored_base)
"""


class CursorSql:
    """Strings are for the driver itself, on the path of every page; the others for SQLAlchemy."""

    def __init__(self, schema: str) -> None:
        event, lane, cursor = (f"{schema}.outbox_{name}" for name in ("event", "lane", "cursor"))
        self.ensure_lanes = text(
            f"""
            INSERT INTO {lane} (publisher, lane)
            SELECT :publisher, n FROM generate_series(0, CAST(:lanes AS integer) - 1) AS n
            ON CONFLICT DO NOTHING
            """
        )
        # In random order, so that relays that take a part each do not all want the same part.
        self.lock_lanes = f"""
            SELECT FROM {lane} WHERE publisher IN (SELECT * FROM %s)
            ORDER BY random() LIMIT %s FOR UPDATE SKIP LOCKED
        """
        # Of the lanes whose rows bear this transaction's lock.
        self.newest = f"""
            SELECT l.lane, pg_current_snapshot()::text AS snapshot,
                (SELECT system_identifier FROM pg_control_system()) AS current_system,
                c.entry, c.system_identifier, c.base::text AS base, c.target::text AS target,
                c.last_position, c.highest_position, c.restored_position,
                c.restored_base::text AS restored_base, coalesce(c.events, 0) AS events,
                extract(epoch FROM clock_timestamp() - c.taken_at)::float8 AS age_seconds
            FROM {lane} AS l
            LEFT JOIN LATERAL (
                SELECT * FROM {cursor} WHERE publisher = $1 AND lane = l.lane
                ORDER BY entry DESC LIMIT 1
            ) AS c ON true
            WHERE l.publisher = $1 AND l.xmax = pg_current_xact_id()::xid
            ORDER BY l.lane
        """
        self.has_foreign_rows = text(
            f"""
            SELECT EXISTS (
                SELECT FROM {event}
                WHERE lane = :lane AND xid >= pg_snapshot_xmax(pg_current_snapshot())
            )
            """
        )
        self.lock_timeout = text("SET LOCAL lock_timeout = '2s'")
        # Waits for every open transaction that wrote events, so that no position below the
        # highest can still appear.
        self.lock_log = text(f"LOCK TABLE {event} IN SHARE MODE")
        self.highest_position = text(
            f"""
            SELECT CAST(pg_current_snapshot() AS text) AS snapshot,
                (SELECT coalesce(max(position), 0) FROM {event}) AS highest
            """
        )
        self.append = f"""
            INSERT INTO {cursor} (
                publisher, lane, base, target, last_position, highest_position, restored_position,
                restored_base, entry, system_identifier, events
            )
            SELECT $11::text, c.* FROM unnest(
                $1::smallint[], $2::text[]::pg_snapshot[], $3::text[]::pg_snapshot[], $4::bigint[],
                $5::bigint[], $6::bigint[], $7::text[]::pg_snapshot[], $8::bigint[], $9::bigint[],
                $10::bigint[]
            ) AS c
        """
        # Some stay: operators see by them how fast a lane moves, and where a sweep begins anew, the last
        # but one tells how far the one before has come.
        self.trim = text(
            f"""
            DELETE FROM {cursor} AS c
            USING unnest(CAST(:lanes AS smallint[]), CAST(:entries AS bigint[])) AS n (lane, entry)
            WHERE c.publisher = :publisher AND c.lane = n.lane AND c.entry < n.entry - 32
            """
        )
        self.fetch = f"""
            SELECT {_EVENT} FROM unnest($1::smallint[], $2::bigint[]) AS g (lane, position)
            JOIN {event} AS e ON e.lane::integer = g.lane AND e.position = g.position
            ORDER BY e.position
        """
        self.event_pages = Pages(event, _ROW, _EVENT)
        self.key_pages = Pages(event, _KEY, _KEY)


class Pages:
    """The statements that read a page, of `row` from the table and `output` of it at the end."""

    def __init__(self, event: str, row: str, output: str) -> None:
        self.fresh = _fresh_page(event, row, output)
        self.resumed = _resumed_page(event, row, output)
        self.restored = _restored_page(event, row, output)


def _fresh_page(event: str, row: str, output: str) -> str:
    """The first page of a target: rows of transactions that began after `base`, and of those open in it.

    Both by the index on the transaction id (the one with the lane as it is), so that neither the
    length of the log nor a long transaction makes it read more than what is new. OFFSET 0 keeps the
    planner from joining the open ones with the whole lane instead of looking each one up.
    """
    return f"""
        SELECT {output} FROM {_CURSORS}
        CROSS JOIN LATERAL (
            SELECT {row} FROM {event} AS e
            WHERE e.lane = c.lane AND e.xid >= pg_snapshot_xmax(c.base)
                AND e.xid < pg_snapshot_xmax(c.target) AND pg_visible_in_snapshot(e.xid, c.target)
                AND e.position > c.restored_position
            UNION ALL
            SELECT e.* FROM pg_snapshot_xip(c.base) AS open (xid)
            CROSS JOIN LATERAL (
                SELECT {row} FROM {event} AS e WHERE e.lane = c.lane AND e.xid = open.xid
                    AND pg_visible_in_snapshot(e.xid, c.target) AND e.position > c.restored_position
                OFFSET 0
            ) AS e
            ORDER BY position LIMIT $8
        ) AS e
        ORDER BY e.lane, e.position
    """


def _resumed_page(event: str, row: str, output: str) -> str:
    """A later page of a target that one page did not hold: by position, so that a page costs a page."""
    return f"""
        SELECT {output} FROM {_CURSORS}
        CROSS JOIN LATERAL (
            SELECT {row} FROM {event} AS e
            WHERE e.lane::integer = c.lane AND e.position > greatest(c.last_position, c.restored_position)
                AND pg_visible_in_snapshot(e.xid, c.target) AND NOT pg_visible_in_snapshot(e.xid, c.base)
            ORDER BY e.position LIMIT $8
        ) AS e
        ORDER BY e.lane, e.position
    """


def _restored_page(event: str, row: str, output: str) -> str:
    """Rows of the cluster that the dump was made from, but those that its cursor proves to be done."""
    return f"""
        SELECT {output} FROM {_CURSORS}
        CROSS JOIN LATERAL (
            SELECT {row} FROM {event} AS e
            WHERE e.lane::integer = c.lane
                AND e.position > c.last_position AND e.position <= c.restored_position
                AND (e.position > c.highest_position OR NOT pg_visible_in_snapshot(e.xid, c.restored_base))
            ORDER BY e.position LIMIT $8
        ) AS e
        ORDER BY e.lane, e.position
    """
