"""The sandbox's own clock: the machine's, put ahead by request, so that a test need not wait."""

import time


class Clock:
    def __init__(self, offset_seconds: float = 0.0) -> None:
        self.offset_seconds = offset_seconds

    def now(self) -> float:
        """Seconds since the epoch."""
        return time.time() + self.offset_seconds
