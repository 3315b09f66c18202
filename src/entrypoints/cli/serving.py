"""What the long-running commands share: run until a signal asks for the end."""

import asyncio
import gc
import signal
from collections.abc import Awaitable, Callable

import uvloop

NEW_OBJECTS = 20_000  # between two looks for cycles; a batch makes about as many, which all go without


def spare_garbage_collection() -> None:
    """Leave what was imported out of every collection, and collect less often: a sixth of a busy worker's time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(NEW_OBJECTS, 20, 100)


def run_until_signal(work: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    """Run `work` on a uvloop; the event it is given is set by SIGTERM or Ctrl-C."""

    async def main() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        await work(stop)

    spare_garbage_collection()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
