"""Waiting for processes that are not ours to reap."""

import contextlib
import time

import psutil

PATIENCE_SECONDS = 30.0


def wait_until_over(*processes: psutil.Process) -> None:
    """Return once all have ended; one that nobody reads the exit code of has ended too."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                assert time.monotonic() < deadline, f"{process} still runs"
                time.sleep(0.01)
