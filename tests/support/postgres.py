"""Real PostgreSQL for tests: one embedded server per test process, one cloned database per test."""

import itertools
import os
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import psutil
import pytest

from entrypoints.local.postgres import EmbeddedPostgres

_numbers = itertools.count(1)

MEMORY = Path("/dev/shm")
"""A file system in memory, where a database is cloned four times as fast as on a disk."""
ROOM = 4 * 2**30
"""What it must have free, in bytes: containers are often given 64 MiB."""


@contextmanager
def _home(otherwise: Path) -> Iterator[Path]:
    """A folder for a server: in memory, where there is room for it."""
    if not MEMORY.is_dir() or shutil.disk_usage(MEMORY).free < ROOM:
        yield otherwise
        return
    for left in MEMORY.glob("payonce-test-*"):  # by a run that was killed
        if not psutil.pid_exists(int(left.name.rpartition("-")[2])):
            shutil.rmtree(left, ignore_errors=True)
    home = MEMORY / f"payonce-test-{os.getpid()}"
    home.mkdir()
    yield home
    shutil.rmtree(home)


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    """A server whose data does not outlive the run, so it need not wait for the disk."""
    with _home(tmp_path_factory.mktemp("postgres")) as home:
        server = EmbeddedPostgres(
            home, options={"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
        )
        server.start()
        yield server
        server.stop()


async def create_database(
    server: EmbeddedPostgres, template: str | None = None, *, name: str | None = None
) -> str:
    """Create a database, empty or as a clone of `template`; its URL."""
    name = name or f"test_{next(_numbers)}"
    connection = await asyncpg.connect(server.url())
    try:
        source = f" TEMPLATE {template} STRATEGY FILE_COPY" if template else ""
        await connection.execute(f"CREATE DATABASE {name}{source}")
    finally:
        await connection.close()
    return server.url(name)


async def drop_database(server: EmbeddedPostgres, url: str) -> None:
    connection = await asyncpg.connect(server.url())
    try:
        await connection.execute(f"DROP DATABASE {url.rsplit('/', 1)[1]} WITH (FORCE)")
    finally:
        await connection.close()


@pytest.fixture
async def empty_database_url(postgres_server: EmbeddedPostgres) -> AsyncIterator[str]:
    """The URL (`postgresql://…`) of a database of this test's own with nothing in it."""
    url = await create_database(postgres_server)
    yield url
    await drop_database(postgres_server, url)
