"""Tables that are only ever added to, on PostgreSQL: nobody changes them by accident, their owner included."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from domain.shared.audit import GENESIS, canonical, chained
from tests.contract.repositories.test_audit_contract import an_entry

APPEND_ONLY = {
    "payments.audit": "entry",
    "orders.audit": "entry",
    "payments.ledger_entry": "source",
    "payments.ledger_posting": "amount",
}
"""The tables, and a column of each."""


@pytest.fixture
async def owner(database_url: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


@pytest.mark.parametrize("table", APPEND_ONLY)
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE {} SET {} = NULL",
        "DELETE FROM {}",
        "TRUNCATE {} CASCADE",
        # As a replica applies what it is sent: other triggers are silent then.
        "SET session_replication_role = replica; DELETE FROM {}",
    ],
)
async def test_no_row_is_changed_or_removed(
    owner: "asyncpg.Connection[asyncpg.Record]", table: str, statement: str
) -> None:
    with pytest.raises(asyncpg.RestrictViolationError, match="append-only"):
        await owner.execute(statement.format(table, APPEND_ONLY[table]))


@pytest.mark.parametrize("table", ["payments.audit", "orders.audit"])
async def test_the_database_chains_whatever_is_inserted(
    owner: "asyncpg.Connection[asyncpg.Record]", table: str
) -> None:
    text = canonical(an_entry())
    await owner.execute(f"INSERT INTO {table} VALUES (7, '\\x00', $1::text::json)", text)
    row = await owner.fetchrow(f"SELECT * FROM {table}")
    assert row is not None
    assert (row["position"], row["hash"]) == (1, chained(GENESIS, text))
