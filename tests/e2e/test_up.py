"""`payonce up`: what it says, who may run it twice, and that it leaves nothing behind."""

import os
import signal
import socket
import stat
import time
from collections.abc import Callable
from pathlib import Path

import asyncpg
import httpx
import pytest

from tests.e2e.conftest import RunningSystem, payonce, running_system
from tests.support.processes import wait_until_over

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300), pytest.mark.xdist_group("e2e")]


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_the_ready_file_says_what_the_contract_promises(system: RunningSystem) -> None:
    ready = system.ready
    assert set(ready) == {
        "apiUrl",
        "consoleUrl",
        "sandboxUrl",
        "mailboxUrl",
        "databaseUrl",
        "redisUrl",
        "tokens",
        "pids",
        "dataKeyFile",
    }
    assert set(ready["tokens"]) == {"customer", "service", "refunder", "approver", "operator"}
    assert set(ready["pids"]) == {"http", "relay", "worker", "postgres", "valkey", "sandbox"}
    assert stat.S_IMODE(system.ready_file.stat().st_mode) == 0o600
    assert httpx.get(f"{ready['apiUrl']}/livez").status_code == 200
    assert httpx.get(f"{ready['sandboxUrl']}/healthz").status_code == 200
    assert httpx.get(ready["mailboxUrl"]).json().keys() == {"items", "nextCursor"}


async def test_the_system_runs_as_a_role_that_cannot_change_the_audit_log(system: RunningSystem) -> None:
    connection = await asyncpg.connect(system.ready["databaseUrl"])
    try:
        for table in ("payments.audit", "orders.audit"):
            assert await connection.fetchval(f"SELECT count(*) FROM {table}") >= 0
            for statement in ("DELETE FROM {}", "ALTER TABLE {} DISABLE TRIGGER ALL"):
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await connection.execute(statement.format(table))
    finally:
        await connection.close()
    async with httpx.AsyncClient() as client:
        checks = (await client.get(f"{system.ready['apiUrl']}/readyz")).json()["checks"]
    assert {"name": "auditLog", "ready": True, "reason": None} in checks
    for process in system.processes():
        assert "PAYONCE_MIGRATION_DATABASE_URL" not in process.environ()


def test_a_ready_token_opens_the_api_and_none_does_not(system: RunningSystem) -> None:
    url = f"{system.ready['apiUrl']}/v1/orders"
    bearer = f"Bearer {system.ready['tokens']['customer']}"
    assert httpx.get(url).status_code == 401
    assert httpx.get(url, headers={"Authorization": bearer}).status_code == 200


def test_a_second_one_on_the_same_home_is_refused_in_one_sentence(system: RunningSystem) -> None:
    result = payonce("up", "--home", str(system.home), "--port", "0", "--sandbox-port", "0")
    assert result.returncode == 2
    assert result.stderr.startswith(f"Error: Payonce already runs on {system.home} (process ")
    assert len(result.stderr.splitlines()) == 1
    assert system.ready_file.exists()


@pytest.mark.parametrize("option", ["--port", "--sandbox-port"])
def test_a_taken_port_is_refused_in_one_sentence(tmp_path: Path, option: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        other = {"--port": "--sandbox-port", "--sandbox-port": "--port"}[option]
        result = payonce("up", "--home", str(tmp_path), option, str(port), other, "0")
    assert result.returncode == 2
    assert result.stderr.startswith(f"Error: Port {port} cannot be used")
    assert option in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_while_http_is_restarted_callers_wait_instead_of_failing(system: RunningSystem) -> None:
    before = system.pid("http")
    os.kill(before, signal.SIGKILL)
    assert httpx.get(f"{system.ready['apiUrl']}/livez", timeout=60).status_code == 200
    assert system.pid("http") != before
    assert "http was ended by SIGKILL" in system.output.read_text()


def test_a_killed_postgres_comes_back(system: RunningSystem) -> None:
    before = system.pid("postgres")
    os.kill(before, signal.SIGKILL)
    wait_for(lambda: system.pid("postgres") != before)
    wait_for(lambda: httpx.get(f"{system.ready['apiUrl']}/readyz", timeout=60).status_code == 200)


def test_twice_in_a_row_and_beside_another_one(system: RunningSystem, tmp_path: Path) -> None:
    """A second system with a home of its own: started, killed, started again, and ended by Ctrl-C."""
    home = tmp_path / "second"
    with running_system(home) as second:
        assert second.ready["apiUrl"] != system.ready["apiUrl"]
        processes = second.processes()
        second.kill()
        wait_until_over(*processes)
        second.start()
        processes = second.processes()
        assert second.stop() == 0
        wait_until_over(*processes)
        assert not second.ready_file.exists()
        assert not (home / "processes.json").exists()
