"""Debian's PgBouncer before the test's PostgreSQL, in transaction mode, with fewer connections than clients."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from entrypoints.local import postgres
from entrypoints.local.ports import free_port
from entrypoints.local.postgres import SUPERUSER, EmbeddedPostgres

SERVER_CONNECTIONS = 3
"""To each database. Nothing that a client leaves on its connection is there the next time."""
START_SECONDS = 20.0

_CONFIG = """
[databases]
* = host=127.0.0.1 port={server_port}

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {users}
pool_mode = transaction
default_pool_size = {connections}
max_client_conn = 200
server_round_robin = 1
"""


class PgBouncer:
    """One pooler on a port of its own; `url` leads through it."""

    def __init__(self, home: Path, server: EmbeddedPostgres) -> None:
        self.port = free_port()
        self._server = server
        self._log = home / "log"
        self._config = home / "pgbouncer.ini"
        users = home / "users"
        users.touch(mode=0o600)
        users.write_text(f'"{SUPERUSER}" "{server.password}"\n')
        self._config.write_text(
            _CONFIG.format(
                server_port=server.port, port=self.port, users=users, connections=SERVER_CONNECTIONS
            )
        )
        self._process: subprocess.Popen[bytes] | None = None

    def url(self, direct: str) -> str:
        """The way through the pooler to where the direct URL leads."""
        return direct.replace(f":{self._server.port}/", f":{self.port}/")

    def start(self) -> None:
        # Like PostgreSQL it refuses to run as root, and is helped in the same way.
        command = [*postgres._unprivileged(), _program(), str(self._config)]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise RuntimeError(self._log.read_text(errors="replace")[-2000:])
            time.sleep(0.02)

    def _answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(START_SECONDS)


def _program() -> str:
    """Where pgbouncer is; Debian keeps it out of the path of ordinary users. Empty where it is not."""
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin"])
    return shutil.which("pgbouncer", path=path) or ""


@pytest.fixture(scope="session")
def pgbouncer(
    tmp_path_factory: pytest.TempPathFactory, postgres_server: EmbeddedPostgres
) -> Iterator[PgBouncer]:
    """A pooler before the test's server. Skips the test where PgBouncer is not installed."""
    if not _program():
        pytest.skip("pgbouncer is not installed (Debian: apt-get install pgbouncer)")
    pooler = PgBouncer(tmp_path_factory.mktemp("pgbouncer"), postgres_server)
    pooler.start()
    yield pooler
    pooler.stop()
