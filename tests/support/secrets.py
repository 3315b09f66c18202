"""Marked values that must never be written down: a journey sends them, then everything written is searched."""

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres.engine import driver_under, vault_of
from adapters.postgres.rotation import _select_of
from adapters.postgres.sealed_columns import SEALED


@dataclass
class Marks:
    """What is searched for, by name. A value is found in the encodings that programs would write it in too."""

    values: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, value: str) -> str:
        assert len(value) >= 8, f"{name} is too short to be told from other things"
        self.values[name] = value
        return value

    def found_in(self, source: str, text: str) -> Iterator[str]:
        """Every mark in this text, with the line that has it."""
        for name, value in self.values.items():
            for form in _forms(value):
                if form in text:
                    line = next(line for line in text.splitlines() if form in line)
                    yield f"{name} in {source}: {line[:2000]}"
                    break


def _forms(value: str) -> set[str]:
    encoded = value.encode()
    as_json = json.dumps(value)[1:-1]
    return {
        *(value, as_json, quote(value, safe=""), base64.b64encode(encoded).decode().rstrip("=")),
        encoded.hex(),  # as PostgreSQL shows a bytea
    }


def logs_of(home: Path) -> Iterator[tuple[str, str]]:
    """Everything that the processes of a system have logged, by name."""
    for path in sorted((home / "logs").iterdir()):
        yield path.name, path.read_text(encoding="utf-8", errors="replace")


async def opened_of(engine: AsyncEngine) -> list[tuple[str, str]]:
    """Every sealed value that whoever has the database and all keys can open, by its column's name."""
    found: list[tuple[str, str]] = []
    async with engine.connect() as connection:
        driver = driver_under(connection)
        for sealed in SEALED:
            for row in map(dict, await driver.fetch(_select_of(sealed)[False], 10_000)):
                for name in sealed.columns:
                    if row[name] is not None:
                        value = sealed.open(vault_of(engine), name, row, row[name])
                        text = value.decode() if isinstance(value, bytes) else str(value)
                        found.append((f"{sealed.name}.{name}", text))
    return found


SCHEMAS = ("orders", "payments", "reconciliation")


async def dump_of(database_url: str) -> list[tuple[str, str]]:
    """Every row of every table of ours as text, by the table's name: what a dump of the database holds."""
    connection = await asyncpg.connect(database_url)
    try:
        names = await connection.fetch(
            "SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables WHERE schemaname = ANY ($1)",
            SCHEMAS,
        )
        return [
            (
                row["name"],
                await connection.fetchval(f"SELECT string_agg(t::text, E'\\n') FROM {row['name']} AS t")
                or "",
            )
            for row in names
        ]
    finally:
        await connection.close()
