"""Databases with the application's schema: migrated once per test process, then cloned."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config

from entrypoints.local.postgres import EmbeddedPostgres
from tests.support.postgres import create_database, drop_database

ROOT = Path(__file__).parents[2]

_TEMPLATE = "payonce_template"


def migrate(url: str, revision: str = "head") -> None:
    """Bring this database to a revision, as `alembic upgrade` does."""
    config = Config(ROOT / "alembic.ini")
    config.attributes["url"] = url
    command.upgrade(config, revision)


@pytest.fixture(scope="session")
def migrated_template(postgres_server: EmbeddedPostgres) -> str:
    """The name of a database that has the schema and no rows."""
    migrate(asyncio.run(create_database(postgres_server, name=_TEMPLATE)))
    return _TEMPLATE


@pytest.fixture
async def database_url(postgres_server: EmbeddedPostgres, migrated_template: str) -> AsyncIterator[str]:
    """The URL of a database of this test's own, with the schema and no rows."""
    url = await create_database(postgres_server, template=migrated_template)
    yield url
    await drop_database(postgres_server, url)
