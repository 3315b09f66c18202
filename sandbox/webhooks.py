"""Delivering events: signed, at least once, in any order, again and again as Stripe does."""

import asyncio
import hmac
import time
from hashlib import sha256

from sandbox.clock import Clock
from sandbox.poster import Poster, PostFailed
from sandbox.store import Store, decode

# Stripe tries for three days with a growing pause; the first ones are shortened so that trying is usable.
_PAUSES_SECONDS = (1, 5, 30, 300, 1800, 3600, 3 * 3600)
_GIVE_UP_SECONDS = 3 * 86400
_CONCURRENCY = 32
_TIMEOUT_SECONDS = 10.0


def signature(secret: str, timestamp: int, body: bytes) -> str:
    """Source: https://docs.stripe.com/webhooks#verify-manually."""
    signed = b"%d.%s" % (timestamp, body)
    return f"t={timestamp},v1={hmac.new(secret.encode(), signed, sha256).hexdigest()}"


class Deliverer:
    """Takes what is due from the `delivery` table, which a restart finds as it was."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._due = asyncio.Event()
        self._in_flight: dict[int, asyncio.Task[None]] = {}
        self._delivered: list[int] = []
        self._poster = Poster(_TIMEOUT_SECONDS)

    def wake(self) -> None:
        """There may be something to deliver, or the clock was changed."""
        self._due.set()

    async def run(self) -> None:
        try:
            while True:
                self._due.clear()
                self._forget_delivered()
                self._start()
                await self._wait()
        finally:
            for task in self._in_flight.values():
                task.cancel()
            self._forget_delivered()
            self._poster.close()

    async def _wait(self) -> None:
        """Until woken, or until the next delivery is due; a full house waits for a place."""
        seconds = None
        if len(self._in_flight) < _CONCURRENCY:
            due = next((due for seq, due in self._earliest() if seq not in self._in_flight), None)
            seconds = None if due is None else max(0.0, due - self._clock.now())
        try:
            await asyncio.wait_for(self._due.wait(), seconds)
        except TimeoutError:
            return

    def _earliest(self) -> list[tuple[int, float]]:
        """Enough of the next deliveries to fill every place, however many of them are under way."""
        rows = self._store.rows("SELECT seq, due FROM delivery ORDER BY due, seq LIMIT ?", 2 * _CONCURRENCY)
        return [(seq, due) for seq, due in rows]

    def _forget_delivered(self) -> None:
        """One transaction for all that arrived meanwhile. A crash before it sends them once more."""
        if self._delivered:
            with self._store.transaction():
                for seq in self._delivered:
                    self._store.run("DELETE FROM delivery WHERE seq = ?", seq)
            for seq in self._delivered:
                del self._in_flight[seq]
            self._delivered = []

    def _start(self) -> None:
        now = self._clock.now()
        waiting = [seq for seq, due in self._earliest() if due <= now and seq not in self._in_flight]
        for seq in waiting[: _CONCURRENCY - len(self._in_flight)]:
            self._in_flight[seq] = asyncio.create_task(self._deliver(seq))

    async def _deliver(self, seq: int) -> None:
        rows = self._store.rows(
            "SELECT delivery.first_due, delivery.attempts, event.body, endpoint.body, endpoint.hidden"
            " FROM delivery JOIN object AS event ON event.id = delivery.event"
            " JOIN object AS endpoint ON endpoint.id = delivery.endpoint WHERE delivery.seq = ?",
            seq,
        )
        if not rows:  # Its endpoint was deleted, or all data, in the meantime.
            self._delivered.append(seq)
            self._due.set()
            return
        first_due, attempts, body, endpoint, hidden = rows[0]
        url, secret, body = decode(endpoint)["url"], decode(hidden)["secret"], body.encode()
        # Signed with the machine's time, not the sandbox's: the receiver compares it with its own.
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "Stripe-Signature": signature(secret, int(time.time()), body),
            "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
        }
        try:
            accepted = 200 <= await self._poster.post(url, headers, body) < 300
        except PostFailed:
            accepted = False
        if accepted:
            self._delivered.append(seq)
        else:
            self._retry(seq, first_due, attempts)
        self._due.set()

    def _retry(self, seq: int, first_due: float, attempts: int) -> None:
        due = self._clock.now() + _PAUSES_SECONDS[min(attempts, len(_PAUSES_SECONDS) - 1)]
        if due - first_due > _GIVE_UP_SECONDS:
            self._store.run("DELETE FROM delivery WHERE seq = ?", seq)
        else:
            self._store.run("UPDATE delivery SET due = ?, attempts = ? WHERE seq = ?", due, attempts + 1, seq)
        del self._in_flight[seq]
