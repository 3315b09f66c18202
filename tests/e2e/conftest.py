"""The whole system as processes, started the way a person starts it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

START_SECONDS = 90.0
STOP_SECONDS = 60.0
PAYONCE = (sys.executable, "-P", "-m", "entrypoints.cli")


def environment() -> dict[str, str]:
    """This machine's environment without a developer's own settings."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PAYONCE_")}


class RunningSystem:
    """`payonce up` on free ports with these settings besides, and what its ready file says."""

    def __init__(self, home: Path, settings: Mapping[str, str] | None = None):
        self.home = home
        self.settings = settings or {}
        self.ready_file = home / "ready.json"
        self.output = home.with_suffix(".out")
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and return once its ready file is there."""
        arguments = ("up", "--home", str(self.home), "--port", "0", "--sandbox-port", "0")
        self.ready_file.unlink(missing_ok=True)  # one of an earlier start that was killed
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(
                [*PAYONCE, *arguments, "--ready-file", str(self.ready_file)],
                stdout=output,
                stderr=output,
                stdin=subprocess.DEVNULL,
                env={**environment(), **self.settings},
            )
        deadline = time.monotonic() + START_SECONDS
        while not self.ready_file.exists():
            assert self.process.poll() is None, self.output.read_text()
            assert time.monotonic() < deadline, self.output.read_text()
            time.sleep(0.05)

    @property
    def ready(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads(self.ready_file.read_bytes())
        return content

    def pid(self, name: str) -> int:
        """The process id of this program; the first one's where there are several."""
        value = self.ready["pids"][name]
        return int(value[0] if isinstance(value, list) else value)

    def processes(self) -> list[psutil.Process]:
        """The supervisor's children, each with its own children."""
        assert self.process is not None
        return psutil.Process(self.process.pid).children(recursive=True)

    def stop(self) -> int:
        """End it as Ctrl-C does; its exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(STOP_SECONDS)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()


@contextmanager
def running_system(home: Path, settings: Mapping[str, str] | None = None) -> Iterator[RunningSystem]:
    system = RunningSystem(home, settings)
    try:
        system.start()
        yield system
    finally:
        if system.process is not None and system.process.poll() is None:
            system.stop()


def payonce(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, with these variables besides."""
    return subprocess.run(
        [*PAYONCE, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**environment(), **settings},
        timeout=240,
    )


@pytest.fixture(scope="session")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSystem]:
    # What nobody tells us is to be found within a test's time, not within a minute.
    soon = {"PAYONCE_RECONCILE_SECONDS": "2", "PAYONCE_RECONCILE_GRACE_SECONDS": "4"}
    with running_system(tmp_path_factory.mktemp("system") / "home", soon) as running:
        yield running
