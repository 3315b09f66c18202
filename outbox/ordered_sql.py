"""The tables and statements of outbox.ordered."""

from sqlalchemy import text

from outbox.inbox_sql import BACKOFF, EVENT_ARRAYS, EVENT_COLUMNS


def ordered_ddl(schema: str) -> list[str]:
    return [
        # One row per stream, kept for good: the next event may come months later.
        f"""
        CREATE TABLE {schema}.inbox_stream (
            consumer text NOT NULL,
            stream text NOT NULL,
            applied bigint NOT NULL DEFAULT 0,
            recent_ids uuid[] NOT NULL DEFAULT '{{}}',
            forked text,
            PRIMARY KEY (consumer, stream)
        ) WITH (fillfactor = 80)
        """,
        # Events that were received and not applied: plain ones wait for those before them; one with
        # due_at has failed, or was cut off, and is tried alone then; one with parked_at waits for an operator.
        f"""
        CREATE TABLE {schema}.inbox_waiting (
            consumer text NOT NULL,
            stream text NOT NULL,
            sequence bigint NOT NULL,
            id uuid NOT NULL,
            topic text NOT NULL,
            type text NOT NULL,
            payload jsonb NOT NULL,
            headers jsonb NOT NULL,
            received_at timestamptz NOT NULL DEFAULT clock_timestamp(),
            attempts integer NOT NULL DEFAULT 0,
            due_at timestamptz,
            parked_at timestamptz,
            cause text,
            PRIMARY KEY (consumer, stream, sequence, id),
            CHECK (due_at IS NULL OR parked_at IS NULL)
        )
        """,
        f"CREATE INDEX inbox_waiting_id ON {schema}.inbox_waiting (id)",
        f"CREATE INDEX inbox_waiting_due ON {schema}.inbox_waiting (consumer, due_at) WHERE due_at IS NOT NULL",
        # For operators alone: what waits, what is parked, what is forked, each without reading the rest.
        f"""
        CREATE INDEX inbox_waiting_plain ON {schema}.inbox_waiting (consumer, received_at)
            WHERE due_at IS NULL AND parked_at IS NULL
        """,
        f"""
        CREATE INDEX inbox_waiting_parked ON {schema}.inbox_waiting (consumer, parked_at)
            WHERE parked_at IS NOT NULL
        """,
        f"CREATE INDEX inbox_stream_forked ON {schema}.inbox_stream (consumer, stream) WHERE forked IS NOT NULL",
        # The events in hand, so that whoever finds one again after a crash knows to suspect it. Found by
        # their ids, so that the dead rows a held snapshot keeps cost nothing. Unlogged: it guards against
        # the end of a worker, not of PostgreSQL.
        f"""
        CREATE UNLOGGED TABLE {schema}.inbox_in_hand (
            consumer text NOT NULL,
            event_id uuid NOT NULL,
            attempt bigint NOT NULL,
            begun_at timestamptz NOT NULL DEFAULT now(),
            PRIMARY KEY (event_id, consumer, attempt)
        )
        """,
        # Each inbox object that receives draws one number; its attempts count on from there.
        f"CREATE SEQUENCE {schema}.inbox_incarnation AS integer CYCLE",
        # What an operator decided to leave out, with the reason.
        f"""
        CREATE TABLE {schema}.inbox_skipped (
            consumer text NOT NULL,
            stream text NOT NULL,
            sequence bigint NOT NULL,
            id uuid NOT NULL,
            topic text NOT NULL,
            type text NOT NULL,
            payload jsonb NOT NULL,
            headers jsonb NOT NULL,
            cause text,
            reason text NOT NULL,
            skipped_at timestamptz NOT NULL DEFAULT clock_timestamp(),
            PRIMARY KEY (consumer, id)
        )
        """,
    ]


class OrderedSql:
    """Strings are for the driver itself, on the path of every batch; the others for SQLAlchemy."""

    def __init__(self, schema: str) -> None:
        names = ("stream", "waiting", "in_hand", "skipped")
        stream, waiting, in_hand, skipped = (f"{schema}.inbox_{name}" for name in names)
        self.next_incarnation = f"SELECT nextval('{schema}.inbox_incarnation')"
        self._attempts(in_hand)
        self._places(stream, waiting, in_hand)
        self._held(stream, waiting)
        self._schedule(stream, waiting)
        self._decisions(stream, waiting, skipped)

    def _attempts(self, in_hand: str) -> None:
        # Without parameters, so that they take no round trip of their own.
        self.begin_attempt = f"""
            INSERT INTO {in_hand} (consumer, event_id, attempt)
            SELECT '%s', unnest('{{%s}}'::uuid[]), %d
        """
        self.end_attempt = f"""
            DELETE FROM {in_hand}
            WHERE consumer = '%s' AND event_id = ANY ('{{%s}}'::uuid[]) AND attempt = %d
        """
        self.clear_suspects = f"""
            DELETE FROM {in_hand} WHERE consumer = $1 AND event_id = ANY ($2::uuid[])
        """
        self.forget_attempts = text(
            f"DELETE FROM {in_hand} WHERE begun_at < clock_timestamp() - make_interval(hours => :hours)"
        )

    def _places(self, stream: str, waiting: str, in_hand: str) -> None:
        # Inserts the streams' rows or locks them, in the order given; one that is there is never changed.
        self.enter_streams = f"""
            INSERT INTO {stream} AS old (consumer, stream) SELECT '%s', s FROM %s AS s
            ON CONFLICT (consumer, stream) DO UPDATE SET applied = old.applied WHERE false
        """
        self.lock_streams = f"""
            SELECT stream, applied, recent_ids, forked, ctid AS address FROM {stream}
            WHERE consumer = $1 AND stream = ANY ($2::text[])
            ORDER BY stream COLLATE "C" FOR UPDATE
        """
        self.read_streams = text(
            f"""
            SELECT stream, applied, recent_ids, forked FROM {stream}
            WHERE consumer = :consumer AND stream = ANY (CAST(:streams AS text[]))
            """
        )
        self.read_waiting = f"""
            SELECT stream, sequence, id, due_at IS NULL AND parked_at IS NULL AS is_plain FROM {waiting}
            WHERE consumer = $1 AND stream = ANY ($2::text[])
        """
        # Of locked streams: their places, what they hold, and, without a stream, which of these events an
        # earlier attempt has in hand still.
        self.read_entered = f"""
            SELECT stream, applied AS sequence, NULL::uuid AS id, NULL::boolean AS is_plain,
                recent_ids, forked, ctid AS address
            FROM {stream} WHERE consumer = $1 AND stream = ANY ($2::text[])
            UNION ALL
            SELECT held.*, NULL, NULL, NULL FROM ({self.read_waiting}) AS held
            UNION ALL
            SELECT DISTINCT NULL, NULL::bigint, event_id, NULL::boolean, NULL::uuid[], NULL, NULL::tid
            FROM {in_hand}
            WHERE event_id = ANY ($3::uuid[]) AND consumer = $1 AND (begun_at, attempt) < (
                SELECT begun_at, attempt FROM {in_hand}
                WHERE event_id = ($3::uuid[])[1] AND consumer = $1 AND attempt = $4
            )
        """

    def _held(self, stream: str, waiting: str) -> None:
        """What waits, and how a stream moves on."""
        self.take_waiting = text(
            f"""
            DELETE FROM {waiting}
            WHERE consumer = :consumer AND (stream, sequence, id) IN (
                SELECT * FROM unnest(
                    CAST(:streams AS text[]), CAST(:sequences AS bigint[]), CAST(:ids AS uuid[])
                )
            )
            RETURNING {EVENT_COLUMNS}
            """
        )
        self.store = text(
            f"""
            INSERT INTO {waiting} (
                consumer, id, topic, stream, sequence, type, payload, headers, parked_at, cause
            )
            SELECT :consumer, id, topic, stream, sequence, type, CAST(payload AS jsonb), CAST(headers AS jsonb),
                CASE WHEN cause IS NOT NULL THEN clock_timestamp() END, cause
            FROM ROWS FROM ({EVENT_ARRAYS}, unnest(CAST(:causes AS text[])))
                AS e (id, topic, stream, sequence, type, payload, headers, cause)
            """
        )
        self.mark_forked = text(
            f"""
            UPDATE {stream} AS s SET forked = coalesce(s.forked, f.cause)
            FROM unnest(CAST(:streams AS text[]), CAST(:causes AS text[])) AS f (stream, cause)
            WHERE s.consumer = :consumer AND s.stream = f.stream
            """
        )
        # By the rows' addresses, which hold while they are locked: no plan can read other rows to join them.
        self.advance = f"""
            UPDATE {stream} AS s SET applied = p.applied, recent_ids = p.recent_ids::uuid[]
            FROM unnest($1::tid[], $2::bigint[], $3::text[]) AS p (address, applied, recent_ids)
            WHERE s.ctid = p.address
        """

    def _schedule(self, stream: str, waiting: str) -> None:
        # The attempt counts from here, whatever becomes of the process; nobody else takes the event
        # until the attempt has said how it ended, or has had time enough to.
        self.claim_due = text(
            f"""
            UPDATE {waiting} AS w
            SET attempts = attempts + 1, due_at = clock_timestamp() + make_interval(secs => :hold)
            WHERE (w.consumer, w.stream, w.sequence, w.id) = (
                SELECT consumer, stream, sequence, id FROM {waiting}
                WHERE consumer = :consumer AND due_at <= clock_timestamp()
                    AND (CAST(:stream AS text) IS NULL OR stream = :stream)
                ORDER BY due_at LIMIT 1 FOR UPDATE SKIP LOCKED
            )
            RETURNING {EVENT_COLUMNS}, attempts
            """
        )
        # What stands next in its stream and waits for nothing any more is due.
        self.promote_heads = text(
            f"""
            UPDATE {waiting} AS w SET due_at = clock_timestamp()
            FROM {stream} AS s
            WHERE s.consumer = :consumer AND s.stream = ANY (CAST(:streams AS text[])) AND s.forked IS NULL
                AND w.consumer = s.consumer AND w.stream = s.stream AND w.sequence = s.applied + 1
                AND w.due_at IS NULL AND w.parked_at IS NULL
            """
        )
        self.rest = text(
            f"""
            UPDATE {waiting} SET due_at = NULL, attempts = attempts - 1
            WHERE consumer = :consumer AND stream = :stream AND sequence = :sequence AND id = :id
                AND due_at IS NOT NULL
            """
        )
        self.record_failure = text(
            f"""
            UPDATE {waiting} SET cause = coalesce(:cause, cause, 'the process ended during each attempt'),
                due_at = CASE WHEN attempts < :attempts THEN clock_timestamp() + {BACKOFF} END,
                parked_at = CASE WHEN attempts >= :attempts THEN clock_timestamp() END
            WHERE consumer = :consumer AND stream = :stream AND sequence = :sequence AND id = :id
            RETURNING parked_at IS NOT NULL AS is_parked
            """
        )

    def _decisions(self, stream: str, waiting: str, skipped: str) -> None:
        """What operators decide."""
        self.unpark = text(
            f"""
            UPDATE {waiting} SET parked_at = NULL, attempts = 0
            WHERE consumer = :consumer AND stream = :stream AND sequence = :sequence
            """
        )
        self.clear_fork = text(
            f"UPDATE {stream} SET forked = NULL WHERE consumer = :consumer AND stream = :stream"
        )
        self.find_held = text(
            f"""
            SELECT stream, sequence FROM {waiting}
            WHERE consumer = :consumer AND id = CAST(:id AS uuid) AND (due_at IS NOT NULL OR parked_at IS NOT NULL)
            """
        )
        self.skip = text(
            f"""
            WITH gone AS (DELETE FROM {waiting} WHERE consumer = :consumer AND id = :id RETURNING *)
            INSERT INTO {skipped} (
                consumer, stream, sequence, id, topic, type, payload, headers, cause, reason
            )
            SELECT consumer, stream, sequence, id, topic, type, payload, headers, cause, :reason FROM gone
            """
        )
