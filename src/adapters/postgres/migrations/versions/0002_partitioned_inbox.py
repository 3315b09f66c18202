"""The unordered inbox by days, where a consumer that came later began, and what operators look at.

Nothing is lost: the rows of the former table are copied, in one transaction with its replacement. Its
columns stay. The events in hand get a table of their own. Frozen, as 0001 is.
"""

from alembic import op

revision = "0002"
down_revision = "0001"

_COLUMNS = (
    "consumer, id, topic, stream, sequence, type, payload, headers, received_at, attempts, due_at, done_at, "
    "parked_at, cause, skip_reason"
)


def _unordered(schema: str) -> list[str]:
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
        LANGUAGE plpgsql SET lock_timeout = '2s' AS $$
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


def _baseline(schema: str) -> str:
    # What is visible in the snapshot had been committed before the consumer came: not for it.
    return f"""
        CREATE TABLE {schema}.outbox_baseline (
            consumer text PRIMARY KEY,
            topic text NOT NULL,
            system_identifier bigint NOT NULL,
            snapshot pg_snapshot NOT NULL,
            restored_position bigint NOT NULL,
            taken_at timestamptz NOT NULL DEFAULT clock_timestamp()
        )
        """


def _operations(schema: str) -> list[str]:
    return [
        f"ALTER TABLE {schema}.outbox_cursor ADD COLUMN events bigint NOT NULL DEFAULT 0",
        f"""
        CREATE TABLE {schema}.outbox_round (
            consumer text NOT NULL,
            round bigint NOT NULL,
            ended_at timestamptz NOT NULL DEFAULT clock_timestamp(),
            took_seconds double precision NOT NULL,
            compared bigint NOT NULL,
            missing bigint NOT NULL,
            closed bigint NOT NULL,
            published bigint NOT NULL,
            forked bigint NOT NULL,
            total_compared bigint NOT NULL,
            total_missing bigint NOT NULL,
            total_closed bigint NOT NULL,
            total_published bigint NOT NULL,
            total_forked bigint NOT NULL,
            PRIMARY KEY (consumer, round)
        )
        """,
    ]


def _inbox_operations(schema: str) -> list[str]:
    return [
        f"CREATE INDEX inbox_waiting_id ON {schema}.inbox_waiting (id)",
        f"""
        CREATE INDEX inbox_waiting_plain ON {schema}.inbox_waiting (consumer, received_at)
            WHERE due_at IS NULL AND parked_at IS NULL
        """,
        f"""
        CREATE INDEX inbox_waiting_parked ON {schema}.inbox_waiting (consumer, parked_at)
            WHERE parked_at IS NOT NULL
        """,
        f"CREATE INDEX inbox_stream_forked ON {schema}.inbox_stream (consumer, stream) WHERE forked IS NOT NULL",
    ]


def _in_hand(schema: str) -> list[str]:
    # A worker of the release before cannot begin a batch any more: anti-entropy sends it again.
    return [
        f"DROP TABLE {schema}.inbox_attempt",
        f"""
        CREATE UNLOGGED TABLE {schema}.inbox_in_hand (
            consumer text NOT NULL,
            event_id uuid NOT NULL,
            attempt bigint NOT NULL,
            begun_at timestamptz NOT NULL DEFAULT now(),
            PRIMARY KEY (event_id, consumer, attempt)
        )
        """,
        f"CREATE SEQUENCE {schema}.inbox_incarnation AS integer CYCLE",
    ]


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    for schema in ("payments", "orders"):
        for statement in [_baseline(schema), *_operations(schema)]:
            op.execute(statement)
    for statement in [*_inbox_operations("orders"), *_in_hand("orders")]:
        op.execute(statement)
    op.execute("LOCK TABLE orders.inbox_event IN ACCESS EXCLUSIVE MODE")
    # Out of the way first, for indexes and constraints of the new one have the same names.
    op.execute("CREATE TEMPORARY TABLE inbox_event_0001 ON COMMIT DROP AS SELECT * FROM orders.inbox_event")
    op.execute("DROP TABLE orders.inbox_event")
    for statement in _unordered("orders"):
        op.execute(statement)
    op.execute(f"INSERT INTO orders.inbox_event ({_COLUMNS}) SELECT {_COLUMNS} FROM inbox_event_0001")
