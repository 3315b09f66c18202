"""docs/personal-data.md classifies each column that could hold personal data or a secret, and no other."""

import asyncio
import re

import asyncpg

from adapters.postgres.sealed_columns import SEALED
from tests.architecture.source import ROOT
from tests.support.database import migrate

# What can hold words; numbers, times and truth values name nobody.
COLUMNS = """
    SELECT c.table_schema || '.' || c.table_name AS place, c.column_name AS name
    FROM information_schema.columns AS c
    JOIN pg_class AS k ON k.oid = format('%I.%I', c.table_schema, c.table_name)::regclass
    WHERE c.table_schema = ANY (ARRAY['orders', 'payments', 'reconciliation'])
        AND c.data_type IN ('jsonb', 'json', 'text', 'bytea', 'ARRAY', 'character varying')
        AND NOT k.relispartition AND k.relkind IN ('r', 'p')
"""
_ROW = re.compile(
    r"^\| `(?P<table>[a-z_]+\.[a-z_]+)` \| (?P<columns>[^|]+) \| (?P<protection>[^|]+) \|", re.MULTILINE
)


def documented() -> dict[str, str]:
    """How each column is protected, by table and name."""
    text = (ROOT / "docs" / "personal-data.md").read_text(encoding="utf-8")
    found: dict[str, str] = {}
    for row in _ROW.finditer(text):
        for name in re.findall(r"`([a-z_]+)`", row["columns"]):
            place = f"{row['table']}.{name}"
            assert place not in found, f"{place} is classified twice"
            found[place] = row["protection"].strip()
    return found


async def test_each_column_is_classified(empty_database_url: str) -> None:
    await asyncio.to_thread(migrate, empty_database_url)
    connection = await asyncpg.connect(empty_database_url)
    try:
        there = {f"{row['place']}.{row['name']}" for row in await connection.fetch(COLUMNS)}
    finally:
        await connection.close()
    told = set(documented())
    assert told - there == set(), "classified, and not in the schema"
    assert there - told == set(), "in the schema, and not classified in docs/personal-data.md"


def test_what_is_said_to_be_sealed_is_what_is_sealed() -> None:
    said: dict[str, set[str]] = {"record's key": set(), "shared key": set()}
    for place, protection in documented().items():
        for how, places in said.items():
            if how in protection:
                places.add(place)
    assert said["record's key"] == {f"{one.name}.{name}" for one in SEALED for name in one.own}
    assert said["shared key"] == {f"{one.name}.{name}" for one in SEALED for name in one.shared}
