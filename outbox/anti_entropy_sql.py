"""The statements of outbox.anti_entropy."""

from sqlalchemy import text


class AntiEntropySql:
    def __init__(self, schema: str) -> None:
        event, gap, marker, round_ = (
            f"{schema}.outbox_{name}" for name in ("event", "gap", "marker", "round")
        )
        self.is_marker_known = text(
            f"SELECT EXISTS (SELECT FROM {marker} WHERE consumer = :consumer AND marker = :marker)"
        )
        self.remember_marker = text(
            f"""
            INSERT INTO {marker} (consumer, marker) VALUES (:consumer, :marker)
            ON CONFLICT (consumer) DO UPDATE SET marker = excluded.marker
            """
        )
        # Counted anew: what the broker lost was never waiting in it.
        self.all_due = text(
            f"UPDATE {gap} SET due_at = clock_timestamp(), published = 0 WHERE consumer = :consumer"
        )
        self.count_gaps = text(f"SELECT count(*) FROM {gap} WHERE consumer = :consumer")
        self.open_gaps = text(
            f"""
            INSERT INTO {gap} (consumer, id, lane, position, stream, sequence)
            SELECT :consumer, g.* FROM unnest(
                CAST(:ids AS uuid[]), CAST(:lanes AS smallint[]), CAST(:positions AS bigint[]),
                CAST(:streams AS text[]), CAST(:sequences AS bigint[])
            ) AS g
            ON CONFLICT DO NOTHING
            """
        )
        self.due_gaps = text(
            f"""
            SELECT id, lane, position, stream, sequence FROM {gap}
            WHERE consumer = :consumer AND due_at <= clock_timestamp()
            ORDER BY due_at, position LIMIT :limit FOR UPDATE SKIP LOCKED
            """
        )
        self.close_gaps = text(
            f"DELETE FROM {gap} WHERE consumer = :consumer AND id = ANY (CAST(:ids AS uuid[]))"
        )
        self.postpone = text(
            f"""
            UPDATE {gap} SET published = published + 1,
                due_at = clock_timestamp()
                    + make_interval(secs => least(:longest, :grace * power(2, least(published, 30))))
            WHERE consumer = :consumer AND id = ANY (CAST(:ids AS uuid[]))
            """
        )
        self.last_given = text(
            f"""
            SELECT s.stream, (
                SELECT max(sequence) FROM {event} WHERE topic = :topic AND stream = s.stream
            ) AS last
            FROM unnest(CAST(:streams AS text[])) AS s (stream)
            """
        )
        self.baseline = text(
            f"""
            SELECT system_identifier, CAST(snapshot AS text) AS snapshot FROM {schema}.outbox_baseline
            WHERE consumer = :consumer
            """
        )
        # A round at a time is added for a consumer, so that no total is lost.
        self.lock_rounds = text("SELECT pg_advisory_xact_lock(hashtextextended(:lock, 0))")
        counts = ("compared", "missing", "closed", "published", "forked")
        self.add_round = text(
            f"""
            INSERT INTO {round_} (
                consumer, round, took_seconds, {", ".join(counts)}, {", ".join(f"total_{c}" for c in counts)}
            )
            SELECT :consumer, coalesce(last.round, 0) + 1, :took_seconds, {", ".join(f":{c}" for c in counts)},
                {", ".join(f"coalesce(last.total_{c}, 0) + :{c}" for c in counts)}
            FROM (SELECT) AS one
            LEFT JOIN LATERAL (
                SELECT * FROM {round_} WHERE consumer = :consumer ORDER BY round DESC LIMIT 1
            ) AS last ON true
            RETURNING round
            """
        )
        self.trim_rounds = text(f"DELETE FROM {round_} WHERE consumer = :consumer AND round < :round")
