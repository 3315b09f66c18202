"""The tables and statements of outbox.unordered."""

from sqlalchemy import text

from outbox.inbox_sql import BACKOFF, EVENT_ARRAYS, EVENT_COLUMNS
from outbox.schema import drop_day

# Ids of version 7 begin with the time of their making in milliseconds (RFC 9562, section 5.7).
TELLS_TIME = "substr(CAST({id} AS text), 15, 1) = '7'"

_REFUSED = "refused: it is older than what the inbox remembers, so it may have been carried out already"


def unordered_ddl(schema: str) -> list[str]:
    return [
        # One row per event ever received: `done_at` set and the payload dropped once it is carried out.
        # Partitioned by the id itself, which begins with the time of its making where it is of version 7:
        # so the key stays unique, and every statement that names an id touches one partition.
        f"""
        CREATE TABLE {schema}.inbox_event (
            consumer text NOT NULL,
            id uuid NOT NULL,
            topic text NOT NULL,
            stream text NOT NULL,
            sequence bigint,
            type text NOT NULL,
            payload jsonb,
            headers jsonb,
            received_at timestamptz NOT NULL DEFAULT clock_timestamp(),
            attempts integer NOT NULL DEFAULT 0,
            due_at timestamptz DEFAULT clock_timestamp(),
            done_at timestamptz,
            parked_at timestamptz,
            cause text,
            skip_reason text,
            PRIMARY KEY (consumer, id)
        ) PARTITION BY RANGE (id)
        """,
        f"CREATE INDEX inbox_event_due ON {schema}.inbox_event (consumer, due_at) WHERE due_at IS NOT NULL",
        f"""
        CREATE INDEX inbox_event_parked ON {schema}.inbox_event (consumer, parked_at)
            WHERE parked_at IS NOT NULL
        """,
        # Ids that tell no time, those of days without a partition, and what outlived its partition.
        f"CREATE TABLE {schema}.inbox_event_default PARTITION OF {schema}.inbox_event DEFAULT",
        # Ids before this one may have been forgotten. At most one row; none before the first day is dropped.
        f"""
        CREATE TABLE {schema}.inbox_horizon (
            one_row boolean PRIMARY KEY DEFAULT true CHECK (one_row),
            forgotten_before uuid NOT NULL
        )
        """,
        _first_id(schema),
        _make_partitions(schema),
        drop_day(schema, "inbox_event"),
        f"SELECT {schema}.inbox_make_partitions(7)",
    ]


def _first_id(schema: str) -> str:
    return f"""
        CREATE FUNCTION {schema}.inbox_first_id(day date) RETURNS uuid
        LANGUAGE sql IMMUTABLE AS $$
            SELECT rpad(lpad(to_hex((extract(epoch FROM day::timestamp) * 1000)::bigint), 12, '0'), 32, '0')::uuid
        $$
        """


def _make_partitions(schema: str) -> str:
    # As the log's: attached, for that takes the weaker lock; a day with rows in the default partition stays there.
    return f"""
        CREATE FUNCTION {schema}.inbox_make_partitions(days_ahead integer) RETURNS integer
        LANGUAGE plpgsql SECURITY DEFINER SET lock_timeout = '2s' SET search_path = pg_catalog, pg_temp AS $$
        DECLARE
            day date;
            name text;
            made integer := 0;
        BEGIN
            FOR i IN 0..days_ahead LOOP
                day := (now() AT TIME ZONE 'UTC')::date + i;
                name := 'inbox_event_' || to_char(day, 'YYYYMMDD');
                CONTINUE WHEN to_regclass(format('{schema}.%I', name)) IS NOT NULL;
                BEGIN
                    EXECUTE format('CREATE TABLE {schema}.%I (LIKE {schema}.inbox_event INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', name);
                    EXECUTE format(
                        'ALTER TABLE {schema}.inbox_event ATTACH PARTITION {schema}.%I FOR VALUES FROM (%L) TO (%L)',
                        name, {schema}.inbox_first_id(day), {schema}.inbox_first_id(day + 1)
                    );
                    made := made + 1;
                EXCEPTION WHEN lock_not_available OR check_violation OR duplicate_table THEN
                    RAISE WARNING 'partition % not made, %', name, SQLERRM;
                END;
            END LOOP;
            RETURN made;
        END
        $$
        """


class UnorderedSql:
    def __init__(self, schema: str) -> None:
        event = f"{schema}.inbox_event"
        # An event from before the horizon could be a repeat of one that is forgotten: an operator decides.
        self.store = text(
            f"""
            INSERT INTO {event} (
                consumer, id, topic, stream, sequence, type, payload, headers, due_at, parked_at, cause
            )
            SELECT :consumer, id, topic, stream, sequence, type, CAST(payload AS jsonb), CAST(headers AS jsonb),
                CASE WHEN NOT refused THEN clock_timestamp() END,
                CASE WHEN refused THEN clock_timestamp() END,
                CASE WHEN refused THEN '{_REFUSED}' END
            FROM {EVENT_ARRAYS} AS e (id, topic, stream, sequence, type, payload, headers),
                LATERAL (
                    SELECT {TELLS_TIME.format(id="e.id")} AND id < coalesce(
                        (SELECT forgotten_before FROM {schema}.inbox_horizon), id
                    ) AS refused
                ) AS judged
            ORDER BY id
            ON CONFLICT DO NOTHING RETURNING id, parked_at IS NOT NULL AS is_refused
            """
        )
        self.due = text(
            f"""
            SELECT id FROM {event} WHERE consumer = :consumer AND due_at <= clock_timestamp()
            ORDER BY due_at LIMIT :limit
            """
        )
        # The attempt counts from here, whatever becomes of the process.
        self.claim = text(
            f"""
            UPDATE {event} SET attempts = attempts + 1, due_at = clock_timestamp() + make_interval(secs => :hold)
            WHERE consumer = :consumer AND id = :id AND due_at <= clock_timestamp()
            RETURNING {EVENT_COLUMNS}, attempts
            """
        )
        self.done = text(
            f"""
            UPDATE {event} SET done_at = clock_timestamp(), due_at = NULL, parked_at = NULL, cause = NULL,
                payload = NULL, headers = NULL
            WHERE consumer = :consumer AND id = :id
            """
        )
        self.record_failure = text(
            f"""
            UPDATE {event} SET cause = coalesce(:cause, cause, 'the process ended during each attempt'),
                due_at = CASE WHEN attempts < :attempts THEN clock_timestamp() + {BACKOFF} END,
                parked_at = CASE WHEN attempts >= :attempts THEN clock_timestamp() END
            WHERE consumer = :consumer AND id = :id AND done_at IS NULL
            RETURNING parked_at IS NOT NULL
            """
        )
        self.known = text(
            f"SELECT id FROM {event} WHERE consumer = :consumer AND id = ANY (CAST(:ids AS uuid[]))"
        )
        self.unpark = text(
            f"""
            UPDATE {event} SET due_at = clock_timestamp(), parked_at = NULL, attempts = 0
            WHERE consumer = :consumer AND id = :id AND parked_at IS NOT NULL
            """
        )
        self.skip = text(
            f"""
            UPDATE {event} SET due_at = NULL, parked_at = NULL, done_at = clock_timestamp(),
                skip_reason = :reason
            WHERE consumer = :consumer AND id = :id AND done_at IS NULL
                AND (parked_at IS NOT NULL OR attempts > 0)
            """
        )
        self.make_partitions = text(f"SELECT {schema}.inbox_make_partitions(:days)")
        self.move_horizon = text(
            f"""
            INSERT INTO {schema}.inbox_horizon AS h (forgotten_before)
            VALUES ({schema}.inbox_first_id(
                CAST(clock_timestamp() AT TIME ZONE 'UTC' AS date) - CAST(:days AS integer)
            ))
            ON CONFLICT (one_row) DO UPDATE SET forgotten_before = excluded.forgotten_before
            WHERE h.forgotten_before < excluded.forgotten_before
            """
        )
        self.forget_in_default = text(
            f"""
            DELETE FROM {event}_default
            WHERE done_at IS NOT NULL AND {TELLS_TIME.format(id="id")}
                AND id < (SELECT forgotten_before FROM {schema}.inbox_horizon)
            """
        )
