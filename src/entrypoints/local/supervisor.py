"""Keeps child programs running, says why one ended, and ends them all in order.

Each child runs in a session of its own, so that Ctrl-C reaches the supervisor alone, and on a
leash, so that nothing outlives a supervisor that is killed.
"""

import asyncio
import contextlib
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, STDOUT, Process
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from entrypoints.local.leftovers import ProcessMark, end, is_running, mark_of

PROBE_SECONDS = 0.05
LOG_TAIL_BYTES = 2000


@dataclass(frozen=True, kw_only=True)
class Program:
    """One program to keep running.

    `command` makes the command line from the leash's own words, which stand before the program.
    `ready` is asked until it says yes; without it, a program that runs is ready.
    """

    name: str
    command: Callable[[Sequence[str]], Sequence[str]]
    environment: Mapping[str, str] = field(default_factory=dict)
    ready: Callable[[], Awaitable[bool]] | None = None
    ready_seconds: float = 60.0
    stop_signal: signal.Signals = signal.SIGTERM
    stop_seconds: float = 10.0
    kill_signal: signal.Signals = signal.SIGKILL
    orphan_signal: signal.Signals = signal.SIGKILL
    pass_fds: tuple[int, ...] = ()


@dataclass(frozen=True)
class Backoff:
    """How long to wait before a restart: doubling from `first_seconds`, anew after a steady run."""

    first_seconds: float = 0.1
    most_seconds: float = 5.0
    steady_seconds: float = 10.0


class ProgramFailed(Exception):
    """A program ended, or did not get ready in time, while it was being started."""

    def __init__(self, name: str, reason: str, log: Path):
        super().__init__(f"{name} {reason}; its log is {log}")
        self.name = name
        self.tail = log.read_bytes()[-LOG_TAIL_BYTES:].decode(errors="replace") if log.exists() else ""


def python_command(*arguments: str) -> Callable[[Sequence[str]], Sequence[str]]:
    """A program of this Python. `-P` keeps the present folder out of the search for modules."""
    return lambda leash: [*leash, sys.executable, "-P", *arguments]


def in_words(code: int) -> str:
    """Why a process ended, from its return code as `subprocess` gives it."""
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"


class Supervisor:
    """Starts programs one by one and keeps each running until `stop`.

    `home` holds `logs/NAME.log` and the record by which a later run finds leftovers.
    `tell` hears one sentence for each unexpected end; `changed` is called after each (re)start.
    Must be used from the main thread: the kernel ties the leash to the thread that starts a child.
    """

    def __init__(
        self,
        home: Path,
        *,
        tell: Callable[[str], None],
        changed: Callable[[], None],
        backoff: Backoff = Backoff(),
    ):
        self._home = home
        self._tell = tell
        self._changed = changed
        self._backoff = backoff
        self._keepers: list[_Keeper] = []
        self._hurry = asyncio.Event()

    @property
    def pids(self) -> dict[str, int]:
        """The process ids of the programs that run at this moment, by name."""
        return {keeper.program.name: keeper.pid for keeper in self._keepers if keeper.pid is not None}

    def log_of(self, name: str) -> Path:
        return self._home / "logs" / f"{name}.log"

    async def start(self, program: Program) -> None:
        """Start a program, return once it is ready, and keep it running from then on.

        Raises ProgramFailed where it ends or is not ready in time; it is then not kept.
        """
        keeper = _Keeper(program, self.log_of(program.name), self._backoff, self._tell, self._record)
        self._keepers.append(keeper)
        try:
            await keeper.begin()
        except BaseException:
            await keeper.stop(self._hurry)
            self._keepers.remove(keeper)
            raise

    async def run(self, program: Program) -> None:
        """Run a program that does its work and ends. Raises ProgramFailed unless its exit code is 0."""
        log = self.log_of(program.name)
        process = await _spawn(program, log)
        try:
            code = await process.wait()
        except asyncio.CancelledError:
            _kill(process, program.kill_signal)
            await process.wait()
            raise
        if code != 0:
            raise ProgramFailed(program.name, in_words(code), log)

    def hurry(self) -> None:
        """From now on, wait for nobody: kill what does not end at once."""
        self._hurry.set()

    async def stop(self) -> None:
        """End all programs, the last started first, each with its patience; return when none is left."""
        while self._keepers:
            await self._keepers[-1].stop(self._hurry)
            self._keepers.pop()
        _record_file(self._home).unlink(missing_ok=True)

    def _record(self) -> None:
        """Write down who runs, for a later run to end if we are killed, and say that it changed."""
        marks = [mark for keeper in self._keepers if (mark := keeper.mark)]
        _record_file(self._home).write_bytes(msgspec.json.encode(marks))
        self._changed()


def end_leftovers(home: Path, patience_seconds: float = 5.0) -> int:
    """End what a killed supervisor of this home left running; how many there were."""
    record = _record_file(home)
    try:
        marks = msgspec.json.decode(record.read_bytes(), type=list[ProcessMark])
    except (FileNotFoundError, msgspec.DecodeError):  # never written, or cut short by a crash
        return 0
    running = [mark for mark in reversed(marks) if is_running(mark)]
    for mark in running:
        end(mark, signal.SIGINT, patience_seconds)  # PostgreSQL's fast shutdown; the others end too
    record.unlink(missing_ok=True)
    return len(running)


def _record_file(home: Path) -> Path:
    return home / "processes.json"


class _Keeper:
    """One program, kept running by a task of its own."""

    def __init__(
        self,
        program: Program,
        log: Path,
        backoff: Backoff,
        tell: Callable[[str], None],
        changed: Callable[[], None],
    ):
        self.program = program
        self.mark: ProcessMark | None = None
        self._log = log
        self._backoff = backoff
        self._tell = tell
        self._changed = changed
        self._process: Process | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        process = self._process
        return process.pid if process and process.returncode is None else None

    async def begin(self) -> None:
        process = await self._spawn()
        await self._wait_until_ready(process)
        self._task = asyncio.create_task(self._keep(process))

    async def stop(self, hurry: asyncio.Event) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        process = self._process
        if process is None or process.returncode is not None:
            return
        program = self.program
        _signal(process, program.stop_signal)
        if not await _ended(process, program.stop_seconds, hurry):
            if not hurry.is_set():
                self._tell(f"{program.name} did not end within {program.stop_seconds:g} s and is killed")
            _kill(process, program.kill_signal)
            if not await _ended(process, program.stop_seconds, asyncio.Event()):
                _kill(process, signal.SIGKILL)
                await process.wait()

    async def _spawn(self) -> Process:
        process = self._process = await _spawn(self.program, self._log)
        self.mark = mark_of(process.pid)
        self._changed()
        return process

    async def _wait_until_ready(self, process: Process) -> None:
        if self.program.ready is None:
            return
        try:
            async with asyncio.timeout(self.program.ready_seconds):
                while not await self.program.ready():
                    self._check_running(process)
                    await asyncio.sleep(PROBE_SECONDS)
                self._check_running(process)  # perhaps another process of that address answered
        except TimeoutError:
            reason = f"was not ready within {self.program.ready_seconds:g} s"
            raise ProgramFailed(self.program.name, reason, self._log) from None

    def _check_running(self, process: Process) -> None:
        if process.returncode is not None:
            raise ProgramFailed(self.program.name, in_words(process.returncode), self._log)

    async def _keep(self, process: Process) -> None:
        loop = asyncio.get_running_loop()
        delay = self._backoff.first_seconds
        while True:
            began = loop.time()
            reason = in_words(await process.wait())
            if loop.time() - began >= self._backoff.steady_seconds:
                delay = self._backoff.first_seconds
            while True:
                self._tell(f"{self.program.name} {reason}; it is started again in {delay:g} s")
                await asyncio.sleep(delay)
                delay = min(delay * 2, self._backoff.most_seconds)
                try:
                    process = await self._spawn()
                    break
                except OSError as error:  # no memory or no process to spare just now
                    reason = f"could not be started ({error.strerror})"


async def _spawn(program: Program, log: Path) -> Process:
    leash = Path(__file__).with_name("leash.py")
    words = [sys.executable, "-I", "-S", str(leash), str(int(program.orphan_signal)), str(os.getpid())]
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        return await asyncio.create_subprocess_exec(
            *program.command(words),
            stdin=DEVNULL,
            stdout=output,
            stderr=STDOUT,
            env={**os.environ, **program.environment},
            start_new_session=True,
            pass_fds=program.pass_fds,
        )


async def _ended(process: Process, patience_seconds: float, hurry: asyncio.Event) -> bool:
    """Wait for the end, at most this long and only while there is no hurry; whether it came."""
    waits = [asyncio.create_task(process.wait()), asyncio.create_task(hurry.wait())]
    await asyncio.wait(waits, timeout=patience_seconds, return_when=asyncio.FIRST_COMPLETED)
    for wait in waits:
        wait.cancel()
    await asyncio.gather(*waits, return_exceptions=True)
    return process.returncode is not None


def _signal(process: Process, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(number)


def _kill(process: Process, number: signal.Signals) -> None:
    """Send a deadly signal to the child and all in its group."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)
