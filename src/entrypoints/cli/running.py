"""Run a local system for as long as a piece of work lasts, and end it whatever happens."""

import asyncio
import signal
from collections.abc import Awaitable, Callable

from entrypoints.local.system import System

INTERRUPTED = 130  # 128 + SIGINT, as shells count


async def run_system(system: System, work: Callable[[], Awaitable[int]]) -> int:
    """Do the work (which starts the system) and stop everything; the exit code.

    The first Ctrl-C, SIGTERM or SIGHUP ends the work and then the system in order;
    a second one makes the end quick.
    """
    working = asyncio.ensure_future(work())
    interrupted = False

    def on_signal() -> None:
        nonlocal interrupted
        if interrupted:
            system.hurry()
        interrupted = True
        working.cancel()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, on_signal)
    try:
        return await working
    except asyncio.CancelledError:
        return INTERRUPTED
    finally:
        await system.stop()
