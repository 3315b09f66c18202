"""The embedded servers: nothing outside their home changes, and nothing outlives a killed supervisor."""

import stat
import subprocess
import sys
from pathlib import Path

import asyncpg
import psutil
import pytest

from entrypoints.local.postgres import EmbeddedPostgres
from entrypoints.local.valkey import EmbeddedValkey
from tests.support.processes import wait_until_over


@pytest.fixture
def closed(tmp_path: Path) -> Path:
    """A folder that only its owner may enter, as root's home is."""
    folder = tmp_path / "closed"
    folder.mkdir(mode=0o700)
    return folder


def permissions(*folders: Path) -> dict[Path, int]:
    """The mode of each folder and of all that stand above it."""
    above = {parent for folder in folders for parent in (folder, *folder.parents)}
    return {folder: stat.S_IMODE(folder.stat().st_mode) for folder in above}


async def test_postgres_runs_below_a_closed_folder_and_opens_nothing(closed: Path) -> None:
    programs = Path(sys.executable).parent
    before = permissions(closed, programs, Path(__file__).parent)
    server = EmbeddedPostgres(closed / "home" / "postgres")
    server.start()
    try:
        connection = await asyncpg.connect(server.url())
        assert await connection.fetchval("SELECT 1") == 1
        await connection.close()
    finally:
        server.stop()
    assert permissions(closed, programs, Path(__file__).parent) == before
    assert stat.S_IMODE((closed / "home" / "postgres" / "data").stat().st_mode) == 0o700


def test_valkey_refuses_whoever_lacks_its_password(tmp_path: Path) -> None:
    server = EmbeddedValkey(tmp_path / "valkey")
    server.start()
    try:
        assert server.is_ready()
        (tmp_path / "valkey" / "password").write_text("another")
        assert not server.is_ready()
    finally:
        server.stop()
    assert stat.S_IMODE((tmp_path / "valkey" / "valkey.conf").stat().st_mode) == 0o600


# A supervising process that keeps PostgreSQL, tells its pid, and waits to be killed.
KEEPING = """
import asyncio, pathlib, signal, sys
from entrypoints.local.postgres import EmbeddedPostgres
from entrypoints.local.supervisor import Program, Supervisor

async def main():
    home = pathlib.Path(sys.argv[1])
    server = EmbeddedPostgres(home / "postgres")
    server.initialize()
    async def ready():
        return await asyncio.to_thread(server.is_ready)
    supervisor = Supervisor(home, tell=print, changed=lambda: None)
    await supervisor.start(
        Program(name="postgres", command=server.command, ready=ready, orphan_signal=signal.SIGINT)
    )
    print(supervisor.pids["postgres"], flush=True)
    await asyncio.sleep(3600)

asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's parent-death signal is Linux's")
def test_postgres_ends_with_a_killed_supervisor(tmp_path: Path) -> None:
    keeper = subprocess.Popen(
        [sys.executable, "-c", KEEPING, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert keeper.stdout is not None
    postgres = psutil.Process(int(keeper.stdout.readline()))
    backends = postgres.children()
    keeper.kill()
    keeper.communicate()
    wait_until_over(postgres, *backends)
    assert "shut down" in (tmp_path / "logs" / "postgres.log").read_text()
