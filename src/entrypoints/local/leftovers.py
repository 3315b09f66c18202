"""Processes of an earlier run: knowing them again, and ending them.

A process id alone is not enough, since ids are given again: it counts together with the
moment at which the process began.
"""

import os
import signal
import subprocess
import time
from pathlib import Path

import msgspec

PROC = Path("/proc")
POLL_SECONDS = 0.05


class ProcessMark(msgspec.Struct, frozen=True):
    """A process, recognisable for as long as it runs."""

    pid: int
    birth: str


def mark_of(pid: int) -> ProcessMark | None:
    """The mark of a running process; None where there is none, or only its unread exit code."""
    birth = _birth_in_proc(pid) if PROC.joinpath("self").exists() else _birth_by_ps(pid)
    return ProcessMark(pid, birth) if birth else None


def is_running(mark: ProcessMark) -> bool:
    return mark_of(mark.pid) == mark


def end(mark: ProcessMark, number: int, patience_seconds: float) -> None:
    """Send this signal, and SIGKILL to a process that is still there after the patience."""
    if not _send(mark, number):
        return
    deadline = time.monotonic() + patience_seconds
    while is_running(mark):
        if time.monotonic() > deadline:
            _send(mark, signal.SIGKILL)
            deadline = float("inf")
        time.sleep(POLL_SECONDS)


def _send(mark: ProcessMark, number: int) -> bool:
    if not is_running(mark):
        return False
    try:
        os.kill(mark.pid, number)
    except ProcessLookupError:
        return False
    return True


def _birth_in_proc(pid: int) -> str | None:
    try:
        stat = PROC.joinpath(str(pid), "stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    # proc(5): the name, in parentheses, may hold anything; then the state, and the start time as 22nd.
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in ("Z", "X") else fields[19]


def _birth_by_ps(pid: int) -> str | None:
    result = subprocess.run(
        ["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    state, _, birth = result.stdout.strip().partition(" ")
    return None if not state or state.startswith("Z") else birth.strip()
