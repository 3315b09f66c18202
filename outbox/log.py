"""The log: events appended inside the business transaction, partitioned by day."""

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from outbox import partitions
from outbox.baseline import Baseline, record_baseline
from outbox.database import driver_of, identifier
from outbox.event import Event, lane_of
from outbox.partitions import Dropped
from outbox.rows import arrays_of
from outbox.schema import log_ddl

_ONE = "$1::uuid, $2::text, $3::text, $4::bigint, $5::text, $6::text::jsonb, $7::text::jsonb, $8::smallint"


class Outbox:
    """The log in one PostgreSQL schema.

    `lanes` is fixed for the life of the log: a stream keeps its order because it keeps its lane.
    """

    def __init__(self, schema: str, *, lanes: int = 8) -> None:
        if not 1 <= lanes <= 1000:
            raise ValueError("lanes must lie between 1 and 1000")
        self.schema = identifier(schema)
        self.lanes = lanes
        columns = "id, topic, stream, sequence, type, payload, headers, lane"
        self._insert = f"INSERT INTO {schema}.outbox_event ({columns})"
        # One statement whatever the number of rows; positions are drawn in the order given.
        self._many = f"""
            SELECT id, topic, stream, sequence, type, payload::jsonb, headers::jsonb, lane
            FROM unnest(
                $1::uuid[], $2::text[], $3::text[], $4::bigint[], $5::text[], $6::text[], $7::text[],
                $8::smallint[]
            ) WITH ORDINALITY AS e ({columns}, ordinal)
            """

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
        if events:
            statement, parameters = self.insertion(events)
            await (await driver_of(connection)).execute(statement, *parameters)

    def insertion(self, events: Sequence[Event], *, condition: str = "true") -> tuple[str, list[Any]]:
        """The statement that `append` would execute, and its parameters ($1, $2 …), to travel with another one.

        As a part of it (`WITH business AS (UPDATE …) INSERT …`): half of what an append costs is its round
        trip. `condition` is SQL that must hold for the events to be written. Raises ValueError for none.
        """
        if not events:
            raise ValueError("there is no event")
        lanes = [lane_of(event.stream, self.lanes) for event in events]
        arrays = [*arrays_of(events).values(), lanes]
        if len(events) == 1:
            return f"{self._insert} SELECT {_ONE} WHERE {condition}", [value for (value,) in arrays]
        return f"{self._insert} {self._many} WHERE {condition} ORDER BY ordinal", arrays

    async def ensure_partitions(self, connection: AsyncConnection, *, days_ahead: int = 7) -> None:
        """Make the partitions of today (UTC) and the days ahead that are missing; never commits.

        A partition whose lock is not granted within two seconds is left to the next call.
        Rows in the default partition are an alarm, logged as an error: somebody let the days run out.
        """
        await partitions.ensure_partitions(connection, self.schema, days_ahead=days_ahead)

    async def drop_partitions(
        self, engine: AsyncEngine, *, retention_days: int, consumers: Collection[str]
    ) -> Dropped:
        """Drop the days that ended at least so many days ago, each in a transaction of its own.

        A day is kept, with a warning, while a publisher, a consumer's anti-entropy (its window, and one
        sweep) or an open gap still needs one of its events, while nobody has ever read the log, and while
        anti-entropy has never compared one of `consumers`, all that there are, with it: whatever a broker
        lost, nobody would know.
        Writers wait for a fifth of a second at most; a day whose lock is not granted by then is left
        to the next call. Raises ValueError for less than a day.
        """
        return await partitions.drop_partitions(
            engine, self.schema, retention_days=retention_days, consumers=consumers
        )

    async def retire_publisher(self, connection: AsyncConnection, publisher: str) -> bool:
        """Forget a publisher that is no more, so that no day is kept for it; never commits.

        A relay of that name that still runs publishes nothing from then on; one that is started later
        begins with the oldest event of the log. False where there is none of that name.
        """
        return await partitions.retire_publisher(connection, self.schema, publisher)

    async def begin_consumer(self, connection: AsyncConnection, consumer: str, topic: str) -> Baseline:
        """Record that this consumer begins after what is committed now; the same again if called again.

        To be called before anti-entropy knows the consumer, which then never sends it what is before.
        An ordered consumer's inbox is told by `begin_at`. Never commits; reads the whole log once.
        Raises ConsumerAlreadyBegun, and ValueError for a consumer with a baseline in another topic.
        """
        return await record_baseline(connection, self.schema, consumer, topic, self.lanes)

    async def retire_consumer(self, connection: AsyncConnection, consumer: str) -> bool:
        """Forget a consumer that is no more: what anti-entropy knows of it, open gaps included; never commits.

        False where there is none of that name.
        """
        return await partitions.retire_consumer(connection, self.schema, consumer)
