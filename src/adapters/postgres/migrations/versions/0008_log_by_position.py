"""The log's index by position, under an expression of its own.

Which of the two indexes a statement is read by is then said by the statement, not found by a plan that
was made while a day's partition was empty. Writers wait while the index is built, some seconds for a
million events: where the log is longer, build it on each partition before, with CREATE INDEX
CONCURRENTLY; this one then only takes them over. Frozen, as 0001 is.
"""

from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    for schema in ("payments", "orders"):
        op.execute(f"DROP INDEX {schema}.outbox_event_by_position")
        op.execute(
            f"CREATE INDEX outbox_event_by_position ON {schema}.outbox_event ((lane::integer), position)"
        )
