"""The tables and statements of outbox.unordered."""

from sqlalchemy import text

from outbox.inbox_sql import BACKOFF, EVENT_ARRAYS, EVENT_COLUMNS


def unordered_ddl(schema: str) -> list[str]:
    return [
        # One row per event ever received: `done_at` set and the payload dropped once it is carried out.
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
        )
        """,
        f"CREATE INDEX inbox_event_due ON {schema}.inbox_event (consumer, due_at) WHERE due_at IS NOT NULL",
    ]


class UnorderedSql:
    def __init__(self, schema: str) -> None:
        event = f"{schema}.inbox_event"
        self.store = text(
            f"""
            INSERT INTO {event} (consumer, id, topic, stream, sequence, type, payload, headers)
            SELECT :consumer, id, topic, stream, sequence, type, CAST(payload AS jsonb), CAST(headers AS jsonb)
            FROM {EVENT_ARRAYS} AS e (id, topic, stream, sequence, type, payload, headers)
            ORDER BY id
            ON CONFLICT DO NOTHING RETURNING id
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
