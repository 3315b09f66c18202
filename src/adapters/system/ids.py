"""Ids that sort by the time of their making."""

import os
import threading
import time
from uuid import UUID

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32: no i, l, o, u


class SystemIds:
    """UUIDs version 7 (RFC 9562, section 5.7); within one process each is greater than the one before."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = 0
        self._forget_random()
        os.register_at_fork(after_in_child=self._forget_random)  # no two processes draw the same

    def _forget_random(self) -> None:
        self._random, self._used = b"", 0

    def event_id(self) -> UUID:
        return UUID(int=self._next())

    def new(self, prefix: str) -> str:
        return f"{prefix}_{self.request_id()}"

    def request_id(self) -> str:
        """26 characters of base 32, in the order of time."""
        number = self._next()
        return "".join(_ALPHABET[(number >> shift) & 31] for shift in range(125, -1, -5))

    def _next(self) -> int:
        milliseconds = time.time_ns() // 1_000_000
        with self._lock:
            random = self._random_bits()
            number = (
                (milliseconds << 80)
                | (0x7 << 76)
                | ((random >> 64 & 0xFFF) << 64)
                | (0b10 << 62)
                | (random & ((1 << 62) - 1))
            )
            # Two of one millisecond, or a clock set back: count on from the last, within the random bits.
            self._last = number if number > self._last else self._last + 1
            return self._last

    def _random_bits(self) -> int:
        """80 of the system's random bits, of which many are asked for at a time: each asking costs 2 µs."""
        if self._used >= len(self._random):
            self._random, self._used = os.urandom(10 * 256), 0
        first, self._used = self._used, self._used + 10
        return int.from_bytes(self._random[first : self._used], "big")
