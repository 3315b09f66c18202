"""Delivering events: signed, at least once, in any order, again and again as Stripe does."""

import asyncio
import hmac
import time
from hashlib import sha256

import httpx

from sandbox.clock import Clock
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

    def wake(self) -> None:
        """There may be something to deliver, or the clock was changed."""
        self._due.set()

    async def run(self) -> None:
        limits = httpx.Limits(max_connections=_CONCURRENCY, max_keepalive_connections=_CONCURRENCY)
        async with httpx.AsyncClient(limits=limits, timeout=_TIMEOUT_SECONDS, trust_env=False) as client:
            try:
                while True:
                    self._due.clear()
                    self._forget_delivered()
                    self._start(client)
                    await self._wait()
            finally:
                for task in self._in_flight.values():
                    task.cancel()
                self._forget_delivered()

    async def _wait(self) -> None:
        """Until woken, or until the next delivery is due; a full house waits for a place."""
        seconds = None
        if len(self._in_flight) < _CONCURRENCY:
            due = self._next_due()
            seconds = None if due is None else max(0.0, due - self._clock.now())
        try:
            await asyncio.wait_for(self._due.wait(), seconds)
        except TimeoutError:
            return

    def _next_due(self) -> float | None:
        rows = self._store.rows(
            "SELECT seq, due FROM delivery ORDER BY due LIMIT ?", len(self._in_flight) + 1
        )
        return next((due for seq, due in rows if seq not in self._in_flight), None)

    def _forget_delivered(self) -> None:
        """One transaction for all that arrived meanwhile. A crash before it sends them once more."""
        if self._delivered:
            with self._store.transaction():
                for seq in self._delivered:
                    self._store.run("DELETE FROM delivery WHERE seq = ?", seq)
            for seq in self._delivered:
                del self._in_flight[seq]
            self._delivered = []

    def _start(self, client: httpx.AsyncClient) -> None:
        free = _CONCURRENCY - len(self._in_flight)
        rows = self._store.rows(
            "SELECT delivery.seq, delivery.first_due, delivery.attempts, event.body, endpoint.body, endpoint.hidden"
            " FROM delivery JOIN object AS event ON event.id = delivery.event"
            " JOIN object AS endpoint ON endpoint.id = delivery.endpoint"
            " WHERE delivery.due <= ? ORDER BY delivery.due, delivery.seq LIMIT ?",
            self._clock.now(),
            free + len(self._in_flight),
        )
        for seq, first_due, attempts, event, endpoint, hidden in rows:
            if seq in self._in_flight or free == 0:
                continue
            free -= 1
            url, secret = decode(endpoint)["url"], decode(hidden)["secret"]
            self._in_flight[seq] = asyncio.create_task(
                self._deliver(client, seq, first_due, attempts, url, secret, event.encode())
            )

    async def _deliver(
        self,
        client: httpx.AsyncClient,
        seq: int,
        first_due: float,
        attempts: int,
        url: str,
        secret: str,
        body: bytes,
    ) -> None:
        # Signed with the machine's time, not the sandbox's: the receiver compares it with its own.
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "Stripe-Signature": signature(secret, int(time.time()), body),
            "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
        }
        try:
            response = await client.post(url, content=body, headers=headers)
            accepted = response.is_success
        except (httpx.HTTPError, httpx.InvalidURL):
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
