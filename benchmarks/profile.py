"""Where the processor time of an event loop goes, by samples: which part is at work.

The operating system's timer goes by the process's own processor time, so that waiting counts nothing; a
sampling thread would see the loop mostly where it lets go of the interpreter.
"""

import signal
from collections import Counter
from types import FrameType

EVERY_SECONDS = 0.003

# The first of these that a frame's file name has in it, from the innermost frame outwards: the
# standard library's time is its caller's.
_PARTS = (
    ("gateway SDK", ("/stripe/", "/aiohttp/", "/yarl/", "/multidict/", "/aiosignal/")),
    ("database", ("/sqlalchemy/", "/asyncpg/", "/adapters/postgres/")),
    ("framework", ("/litestar/", "/uvicorn/", "/httptools/")),
    (
        "our code",
        (
            "/src/domain/",
            "/src/adapters/",
            "/src/entrypoints/http/",
            "/src/entrypoints/logging",
            "/src/entrypoints/traces",
            "/outbox/",
            "/structlog/",
            "/joserfc/",
            "/cryptography/",
        ),
    ),
)
_LOOP = "event loop"


class Sampler:
    """Watches the main thread, from `start` to `stop`; both are to be called there."""

    def __init__(self) -> None:
        self.parts: Counter[str] = Counter()
        """Samples of each part."""
        self.functions: Counter[str] = Counter()
        """Samples by the innermost function of a known part, to find what is dear."""

    def start(self) -> None:
        signal.signal(signal.SIGPROF, self._sample)
        signal.setitimer(signal.ITIMER_PROF, EVERY_SECONDS, EVERY_SECONDS)

    def stop(self) -> None:
        signal.setitimer(signal.ITIMER_PROF, 0)

    def _sample(self, number: int, frame: FrameType | None) -> None:
        part, function = _of(frame)
        self.parts[part] += 1
        self.functions[f"{part}: {function}"] += 1


def _of(frame: FrameType | None) -> tuple[str, str]:
    while frame is not None:
        file = frame.f_code.co_filename
        for part, folders in _PARTS:
            if any(folder in file for folder in folders):
                return part, f"{file.rpartition('/')[2]}:{frame.f_code.co_name}"
        frame = frame.f_back
    return _LOOP, ""
