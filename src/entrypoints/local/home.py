"""The folder of one local system: one owner at a time, its secrets, its files."""

import fcntl
import os
from pathlib import Path
from typing import IO

from entrypoints.local.passwords import password_in
from entrypoints.refusals import StartRefused


class HomeTaken(StartRefused):
    """Another system runs on this home; the message names its process."""


class Home:
    """Where a local system keeps its state. Nothing outside of it is ever changed."""

    def __init__(self, path: Path):
        self.path = path.absolute()
        self._lock: IO[str] | None = None

    @property
    def postgres(self) -> Path:
        return self.path / "postgres"

    @property
    def valkey(self) -> Path:
        return self.path / "valkey"

    @property
    def sandbox_data(self) -> Path:
        return self.path / "sandbox.sqlite"

    @property
    def webhook_secret(self) -> str:
        """The secret that the sandbox signs its webhooks with, made on first use."""
        return f"whsec_{password_in(self.path / 'webhook-secret')}"

    def take(self) -> None:
        """Own this home until `release`, or until this process ends in any way. Raises HomeTaken."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = (self.path / "lock").open("a+")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            owner = lock.read().strip()
            lock.close()
            raise HomeTaken(f"Payonce already runs on {self.path} (process {owner}).") from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        self._lock = lock

    def release(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None
