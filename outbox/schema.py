"""The producer's tables. A migration freezes these statements; a change needs a new one."""


def log_ddl(schema: str) -> list[str]:
    """The event log, its partitions for a week, and the cursors of those who read it."""
    return [
        f"CREATE SEQUENCE {schema}.outbox_event_position AS bigint",
        # The transaction's id is stored because commit order, not position, decides what a
        # reader has seen: positions commit out of order.
        f"""
        CREATE TABLE {schema}.outbox_event (
            created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
            xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
            position bigint NOT NULL DEFAULT nextval('{schema}.outbox_event_position'),
            id uuid NOT NULL,
            topic text NOT NULL,
            stream text NOT NULL,
            sequence bigint CHECK (sequence > 0),
            lane smallint NOT NULL,
            type text NOT NULL,
            payload jsonb NOT NULL,
            headers jsonb NOT NULL
        ) PARTITION BY RANGE (created_at)
        """,
        # Two indexes begin with the lane. The second one has it as an integer, so that a statement says which
        # one it is to be read by: to a plan made while a day's partition was empty they would be the same,
        # and it is kept while the day fills.
        f"CREATE INDEX outbox_event_by_xid ON {schema}.outbox_event (lane, xid)",
        f"CREATE INDEX outbox_event_by_position ON {schema}.outbox_event ((lane::integer), position)",
        f"CREATE INDEX outbox_event_by_stream ON {schema}.outbox_event (topic, stream, sequence)",
        f"CREATE TABLE {schema}.outbox_event_default PARTITION OF {schema}.outbox_event DEFAULT",
        _make_partitions(schema),
        drop_day(schema, "outbox_event"),
        f"SELECT {schema}.outbox_make_partitions(7)",
        # Locked by whoever reads the lane, never updated: an updated row bloats under a held snapshot.
        f"""
        CREATE TABLE {schema}.outbox_lane (
            publisher text NOT NULL,
            lane smallint NOT NULL,
            PRIMARY KEY (publisher, lane)
        )
        """,
        # Appended, the newest entry of a lane counts; older ones are trimmed.
        f"""
        CREATE TABLE {schema}.outbox_cursor (
            publisher text NOT NULL,
            lane smallint NOT NULL,
            entry bigint NOT NULL,
            system_identifier bigint NOT NULL,
            base pg_snapshot NOT NULL,
            target pg_snapshot,
            last_position bigint NOT NULL,
            highest_position bigint NOT NULL,
            restored_position bigint NOT NULL,
            restored_base pg_snapshot,
            taken_at timestamptz NOT NULL DEFAULT clock_timestamp(),
            events bigint NOT NULL DEFAULT 0,
            PRIMARY KEY (publisher, lane, entry)
        )
        """,
        *_anti_entropy(schema),
        _baseline(schema),
    ]


def drop_day(schema: str, table: str) -> str:
    """A function that drops one day of this table, which must have ended: for those who do not own the table."""
    return f"""
        CREATE FUNCTION {schema}.{table}_drop_day(name text) RETURNS void
        LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
        BEGIN
            IF name !~ '^{table}_[0-9]{{8}}$'
                OR right(name, 8) >= to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYYMMDD')
            THEN
                RAISE EXCEPTION '% is not a day of {table} that has ended', name;
            END IF;
            EXECUTE format('DROP TABLE {schema}.%I', name);
        END
        $$
        """


def _make_partitions(schema: str) -> str:
    # Run as the owner of the tables, so that whoever only uses them can make the days that are to come.
    # Attached rather than created in place, for that takes the weaker lock on the parent. A day that
    # already has rows in the default partition stays there; the caller raises the alarm.
    return f"""
        CREATE FUNCTION {schema}.outbox_make_partitions(days_ahead integer) RETURNS integer
        LANGUAGE plpgsql SECURITY DEFINER SET lock_timeout = '2s' SET search_path = pg_catalog, pg_temp AS $$
        DECLARE
            day date;
            name text;
            made integer := 0;
        BEGIN
            FOR i IN 0..days_ahead LOOP
                day := (now() AT TIME ZONE 'UTC')::date + i;
                name := 'outbox_event_' || to_char(day, 'YYYYMMDD');
                CONTINUE WHEN to_regclass(format('{schema}.%I', name)) IS NOT NULL;
                BEGIN
                    EXECUTE format('CREATE TABLE {schema}.%I (LIKE {schema}.outbox_event INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', name);
                    EXECUTE format(
                        'ALTER TABLE {schema}.outbox_event ATTACH PARTITION {schema}.%I FOR VALUES FROM (%L) TO (%L)',
                        name, day::timestamp AT TIME ZONE 'UTC', (day + 1)::timestamp AT TIME ZONE 'UTC'
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


def _anti_entropy(schema: str) -> list[str]:
    return [
        # Events that a consumer lacked when its window passed them.
        f"""
        CREATE TABLE {schema}.outbox_gap (
            consumer text NOT NULL,
            id uuid NOT NULL,
            lane smallint NOT NULL,
            position bigint NOT NULL,
            stream text NOT NULL,
            sequence bigint,
            published integer NOT NULL DEFAULT 0,
            due_at timestamptz NOT NULL DEFAULT clock_timestamp(),
            PRIMARY KEY (consumer, id)
        )
        """,
        f"CREATE INDEX outbox_gap_due ON {schema}.outbox_gap (consumer, due_at)",
        f"""
        CREATE TABLE {schema}.outbox_marker (
            consumer text PRIMARY KEY,
            marker text NOT NULL
        )
        """,
        # What each round found, appended; the newest counts, and its totals are of all rounds ever.
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
