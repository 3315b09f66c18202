"""A Dramatiq worker embedded in our process, its actors on our event loop."""

import asyncio
import logging
import threading

from dramatiq import Broker, Worker
from dramatiq.asyncio import EventLoopThread, set_event_loop_thread

STOP_SECONDS = 20.0
IDLE_MILLISECONDS = 1000  # how long an idle consumer waits in the broker at a time, so also to notice a stop


class _RunningLoop(EventLoopThread):
    """Dramatiq's way to an event loop, leading to one that runs already.

    Its own AsyncIO middleware starts a second loop, in which the engine and the
    clients of this one could not be used.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        threading.Thread.__init__(self)  # never started
        self.interrupt_check_ival = 0.1
        self.logger = logging.getLogger(__name__)
        self.loop = loop


async def run_worker(
    broker: Broker, stop: asyncio.Event, *, threads: int = 4, stop_seconds: float = STOP_SECONDS
) -> None:
    """Work on the queues of all declared actors until `stop`, then finish what is in hand.

    `threads` is how many batches are handled side by side. What is not finished within `stop_seconds`
    is left to anti-entropy. One at a time in a process.
    """
    set_event_loop_thread(_RunningLoop(asyncio.get_running_loop()))
    worker = Worker(broker, worker_threads=threads, worker_timeout=IDLE_MILLISECONDS)
    try:
        await asyncio.to_thread(worker.start)
        await stop.wait()
    finally:
        await asyncio.to_thread(worker.stop, int(stop_seconds * 1000))
        set_event_loop_thread(None)
