"""The log: events appended inside the business transaction, partitioned by day."""

import logging
from collections.abc import Sequence

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from outbox.database import identifier
from outbox.event import Event, lane_of
from outbox.rows import arrays_of
from outbox.schema import log_ddl

logger = logging.getLogger(__name__)


class Outbox:
    """The log in one PostgreSQL schema.

    `lanes` is fixed for the life of the log: a stream keeps its order because it keeps its lane.
    """

    def __init__(self, schema: str, *, lanes: int = 8) -> None:
        if not 1 <= lanes <= 1000:
            raise ValueError("lanes must lie between 1 and 1000")
        self.schema = identifier(schema)
        self.lanes = lanes
        # One statement whatever the number of rows; positions are drawn in the order given.
        self._append = text(
            f"""
            INSERT INTO {schema}.outbox_event (id, topic, stream, sequence, lane, type, payload, headers)
            SELECT id, topic, stream, sequence, lane, type, CAST(payload AS jsonb), CAST(headers AS jsonb)
            FROM unnest(
                CAST(:ids AS uuid[]), CAST(:topics AS text[]), CAST(:streams AS text[]),
                CAST(:sequences AS bigint[]), CAST(:lanes AS smallint[]), CAST(:types AS text[]),
                CAST(:payloads AS text[]), CAST(:headers AS text[])
            ) WITH ORDINALITY AS e (id, topic, stream, sequence, lane, type, payload, headers, ordinal)
            ORDER BY ordinal
            """
        )

    @property
    def channel(self) -> str:
        """The NOTIFY channel on which relays are woken."""
        return f"{self.schema}_outbox"

    def ddl(self) -> list[str]:
        """The statements that make this log's tables in the (existing) schema, for a migration."""
        return log_ddl(self.schema)

    async def append(self, connection: AsyncConnection, events: Sequence[Event]) -> None:
        """Write the events in one statement of the caller's transaction; never commits.

        Events of one ordered stream must be appended under a lock of the caller's that is held until
        the commit (its counter's row): that lock is what makes position order stream order.
        """
        if not events:
            return
        await connection.execute(
            self._append,
            {**arrays_of(events), "lanes": [lane_of(event.stream, self.lanes) for event in events]},
        )

    async def ensure_partitions(self, connection: AsyncConnection, *, days_ahead: int = 7) -> None:
        """Make the partitions of today (UTC) and the days ahead that are missing; never commits.

        A partition whose lock is not granted within two seconds is left to the next call.
        Rows in the default partition are an alarm, logged as an error: somebody let the days run out.
        """
        await connection.execute(
            text(f"SELECT {self.schema}.outbox_make_partitions(:days)"), {"days": days_ahead}
        )
        overflow = await connection.scalar(
            text(f"SELECT EXISTS (SELECT FROM {self.schema}.outbox_event_default)")
        )
        if overflow:
            logger.error("the default partition of %s.outbox_event is in use", self.schema)
