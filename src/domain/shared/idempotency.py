"""Idempotency keys: a request that is sent again gets the first answer and is not done twice.

The order of things makes it hold across crashes: a row with the key and a `request_id` is
committed, then the use case runs and derives every id of its own from that `request_id`, then the
answer is kept in the row. Whoever dies in between leaves a row without an answer; the repetition
takes it over with the same `request_id`, and so continues the same work instead of doing it twice.
"""

from dataclasses import dataclass
from typing import Protocol

LEASE_SECONDS = 15
"""How long a request without an answer yet counts as still running; then a repetition takes over."""

KEEP_DAYS = 7
"""How long an answer is kept (the contract's number)."""


@dataclass(frozen=True, slots=True)
class KeyOwner:
    """A key belongs to the caller that sent it: two callers may use the same one."""

    subject: str
    actor: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer as it went over the wire; `headers` are those that belong to its meaning."""

    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Begun:
    """This request is ours to run, under `request_id`. `attempt` counts who has had it, from 1."""

    request_id: str
    attempt: int


@dataclass(frozen=True, slots=True)
class Replay:
    """The request was answered before."""

    answer: Answer


@dataclass(frozen=True, slots=True)
class InFlight:
    """The same request is running now; it may be taken over in `retry_after_seconds` (1 or more)."""

    retry_after_seconds: int


@dataclass(frozen=True, slots=True)
class OtherRequest:
    """The key was used for something else."""


Beginning = Begun | Replay | InFlight | OtherRequest


class IdempotencyStore(Protocol):
    """Where keys and their answers are kept. Each method is a transaction of its own."""

    async def begin(self, owner: KeyOwner, key: str, fingerprint: bytes, request_id: str) -> Beginning:
        """Take the key for this request, or say what became of it before.

        `fingerprint` tells one request from another; `request_id` is used if the key is new.
        """
        ...

    async def finish(self, owner: KeyOwner, key: str, request_id: str, answer: Answer) -> Answer:
        """Keep the answer, and give the one that stands: the first, if a repetition was faster."""
        ...

    async def release(self, owner: KeyOwner, key: str, begun: Begun) -> None:
        """End the lease without an answer, so that a repetition may run at once, with the same `request_id`.

        Does nothing where another attempt has taken over since.
        """
        ...

    async def delete_expired(self, limit: int) -> int:
        """Forget up to `limit` keys whose time is over; how many they were."""
        ...
