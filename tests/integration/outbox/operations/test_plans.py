"""Looking costs the same at the millionth event: every statement goes by index."""

import re
from typing import Any

from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncEngine

from outbox import Operations, Outbox
from outbox.database import transaction
from outbox.operations import LOOKING
from outbox.operations_sql import InboxSql, LogSql

ASKED: dict[str, Any] = {
    "lanes": 4,
    "limit": 10,
    "publisher": "memory",
    "consumer": "orders",
    "after": 0,
    "until": 100,
    "topics": ["facts"],
    "stream": "a",
    "position": 5,
    "cause": "Error #",
    "id": None,
}
# The first row of the default partition is all that is looked at.
ALLOWED = {"outbox_event_default", "outbox_event_position"}


def statements(sql: LogSql | InboxSql) -> dict[str, TextClause]:
    return {name: value for name, value in vars(sql).items() if isinstance(value, TextClause)}


async def scanned(engine: AsyncEngine, statement: TextClause) -> set[str]:
    """The tables that the statement's plan reads from end to end."""
    asked = {name: ASKED[name] for name in statement.compile().params}
    async with transaction(engine, **LOOKING) as connection:
        plan = await connection.scalars(text(f"EXPLAIN {statement.text}"), asked)
        return set(re.findall(r"Seq Scan on (\w+)", "\n".join(plan)))


async def test_the_log_is_never_scanned(engine: AsyncEngine, outbox: Outbox) -> None:
    for name, statement in statements(LogSql("shop")).items():
        assert await scanned(engine, statement) <= ALLOWED, name


async def test_no_inbox_is_scanned(operations: Operations, consumer_engine: AsyncEngine) -> None:
    for is_ordered in (True, False):
        for name, statement in statements(InboxSql("orders", is_ordered=is_ordered)).items():
            assert await scanned(consumer_engine, statement) == set(), name
