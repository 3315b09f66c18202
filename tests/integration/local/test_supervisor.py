"""The supervisor with small real programs: restarts, reasons, order of the end, nothing left over."""

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec
import psutil
import pytest

from entrypoints.local.leftovers import is_running, mark_of
from entrypoints.local.supervisor import (
    Backoff,
    Program,
    ProgramFailed,
    Supervisor,
    end_leftovers,
    python_command,
)
from tests.support.processes import wait_until_over

# Says that it runs by a line in its log, and writes the name of the signal that ends it into FILE.
STEADY = """
import signal, sys, pathlib
def leave(number, frame):
    with pathlib.Path(sys.argv[1]).open("a") as file:
        file.write(sys.argv[2] + " ")
    sys.exit(0)
signal.signal(signal.SIGTERM, leave)
print("up", flush=True)
while True:
    signal.pause()
"""
DEAF = """
import signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("up", flush=True)
while True:
    signal.pause()
"""


class House:
    """A supervisor in a folder, what it told, and a way to wait for what it does."""

    def __init__(self, home: Path):
        self.home = home
        self.told: list[str] = []
        self.changes = 0
        self._happened = asyncio.Event()
        self.supervisor = Supervisor(
            home, tell=self._tell, changed=self._changed, backoff=Backoff(first_seconds=0.01)
        )

    def _tell(self, sentence: str) -> None:
        self.told.append(sentence)
        self._happened.set()

    def _changed(self) -> None:
        self.changes += 1
        self._happened.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not condition():
                self._happened.clear()
                await self._happened.wait()

    def program(self, name: str, code: str, *arguments: str, stop_seconds: float = 10.0) -> Program:
        log = self.supervisor.log_of(name)

        async def ready() -> bool:
            return log.exists() and b"up" in log.read_bytes()

        return Program(
            name=name,
            command=python_command("-S", "-c", textwrap.dedent(code), *arguments),
            ready=ready,
            stop_seconds=stop_seconds,
        )

    def steady(self, name: str) -> Program:
        return self.program(name, STEADY, str(self.ends), name)

    @property
    def ends(self) -> Path:
        return self.home / "ends"


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    house = House(tmp_path)
    yield house
    house.supervisor.hurry()
    await house.supervisor.stop()


async def test_a_program_that_dies_is_started_again_and_the_reason_told(house: House) -> None:
    await house.supervisor.start(house.steady("worker"))
    first = house.supervisor.pids["worker"]
    os.kill(first, signal.SIGKILL)
    await house.until(lambda: house.supervisor.pids.get("worker", first) != first)
    assert house.told == ["worker was ended by SIGKILL; it is started again in 0.01 s"]


async def test_restarts_slow_down(house: House) -> None:
    await house.supervisor.start(
        house.program("worker", "import sys, time; print('up', flush=True); time.sleep(0.3); sys.exit(7)")
    )
    await house.until(lambda: len(house.told) == 3)
    assert house.told == [
        f"worker ended with exit code 7; it is started again in {seconds} s"
        for seconds in ("0.01", "0.02", "0.04")
    ]


async def test_each_start_is_announced_with_the_new_process_recorded(house: House) -> None:
    await house.supervisor.start(house.steady("worker"))
    first = house.supervisor.pids["worker"]
    os.kill(first, signal.SIGKILL)
    await house.until(lambda: house.changes == 2)
    marks = msgspec.json.decode((house.home / "processes.json").read_bytes())
    assert [mark["pid"] for mark in marks] == [house.supervisor.pids["worker"]]


async def test_the_last_started_is_ended_first(house: House) -> None:
    for name in ("postgres", "relay", "http"):
        await house.supervisor.start(house.steady(name))
    await house.supervisor.stop()
    assert house.ends.read_text() == "http relay postgres "
    assert house.supervisor.pids == {}
    assert not (house.home / "processes.json").exists()


async def test_a_program_that_hangs_is_killed_after_its_patience(house: House) -> None:
    await house.supervisor.start(house.steady("postgres"))
    await house.supervisor.start(house.program("http", DEAF, stop_seconds=0.2))
    mark = mark_of(house.supervisor.pids["http"])
    assert mark is not None
    await house.supervisor.stop()
    assert not is_running(mark)
    assert house.told == ["http did not end within 0.2 s and is killed"]
    assert house.ends.read_text() == "postgres "


async def test_a_hurry_waits_for_nobody(house: House) -> None:
    await house.supervisor.start(house.program("http", DEAF, stop_seconds=1000))
    stopping = asyncio.create_task(house.supervisor.stop())
    await asyncio.sleep(0)
    assert not stopping.done()
    house.supervisor.hurry()
    async with asyncio.timeout(20):
        await stopping


async def test_a_killed_program_takes_its_group_along(house: House) -> None:
    code = """
        import signal, subprocess, sys
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        child = subprocess.Popen([sys.executable, "-S", "-c", "import signal; signal.pause()"])
        print("up", child.pid, flush=True)
        signal.pause()
    """
    await house.supervisor.start(house.program("http", code, stop_seconds=0.1))
    grandchild = psutil.Process(int(house.supervisor.log_of("http").read_text().split()[1]))
    await house.supervisor.stop()
    wait_until_over(grandchild)


async def test_a_program_that_ends_while_starting_fails_with_its_reason_and_log(house: House) -> None:
    program = house.program("http", "import sys; print('no port', file=sys.stderr); sys.exit(3)")
    with pytest.raises(ProgramFailed, match="http ended with exit code 3") as failed:
        await house.supervisor.start(program)
    assert "no port" in failed.value.tail
    assert house.supervisor.pids == {}


async def test_a_program_that_never_gets_ready_is_ended(house: House) -> None:
    program = house.program("http", STEADY.replace('"up"', '"…"'), str(house.ends), "http")
    hasty = Program(name="http", command=program.command, ready=program.ready, ready_seconds=0.3)
    with pytest.raises(ProgramFailed, match=r"was not ready within 0\.3 s"):
        await house.supervisor.start(hasty)
    assert house.supervisor.pids == {}


async def test_a_program_that_does_its_work_and_ends(house: House) -> None:
    await house.supervisor.run(house.program("migrate", "print('done')"))
    with pytest.raises(ProgramFailed, match="migrate ended with exit code 1"):
        await house.supervisor.run(house.program("migrate", "raise SystemExit(1)"))


# A whole supervising process, which tells the pids of its children and then waits.
SUPERVISING = """
import asyncio, pathlib, sys
from entrypoints.local.supervisor import Program, Supervisor, python_command

async def main():
    supervisor = Supervisor(pathlib.Path(sys.argv[1]), tell=print, changed=lambda: None)
    for name in ("one", "two"):
        await supervisor.start(Program(name=name, command=python_command("-S", "-c", "import signal; signal.pause()")))
    print(*supervisor.pids.values(), flush=True)
    await asyncio.sleep(3600)

asyncio.run(main())
"""


def supervising(home: Path) -> tuple[subprocess.Popen[str], list[psutil.Process]]:
    process = subprocess.Popen(
        [sys.executable, "-c", SUPERVISING, str(home)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    return process, [psutil.Process(int(pid)) for pid in process.stdout.readline().split()]


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's parent-death signal is Linux's")
def test_nothing_outlives_a_killed_supervisor(tmp_path: Path) -> None:
    process, children = supervising(tmp_path)
    assert [child.is_running() for child in children] == [True, True]
    process.kill()
    process.communicate()
    wait_until_over(*children)


def test_the_next_run_ends_what_was_left_over(tmp_path: Path) -> None:
    orphan = subprocess.Popen([sys.executable, "-S", "-c", "import signal; signal.pause()"])
    other = subprocess.Popen([sys.executable, "-S", "-c", "import signal; signal.pause()"])
    mark, reused = mark_of(orphan.pid), mark_of(other.pid)
    assert mark is not None
    assert reused is not None
    another_life = msgspec.structs.replace(reused, birth="1")
    (tmp_path / "processes.json").write_bytes(msgspec.json.encode([another_life, mark]))
    try:
        assert end_leftovers(tmp_path) == 1
        assert orphan.wait(20) != 0
        assert other.poll() is None
        assert end_leftovers(tmp_path) == 0
    finally:
        for process in (orphan, other):
            process.kill()
            process.wait()


def test_a_record_that_was_cut_short_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "processes.json").write_text('[{"pid": 1')
    assert end_leftovers(tmp_path) == 0
