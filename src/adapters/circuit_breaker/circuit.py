"""A circuit breaker around a gateway account.

Ours rather than a library's (pybreaker has no asyncio; purgatory lets real calls through to try whether
a gateway is back): the probe here must be a call that moves nothing, never a customer's payment.
"""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from contextvars import Context
from enum import StrEnum
from functools import wraps
from typing import Any, cast

import structlog

from domain.payments.gateway import (
    GatewayNotSent,
    GatewayRefused,
    GatewayUnknown,
    PaymentGateway,
)

logger = structlog.stdlib.get_logger(__name__)

LONGEST_PAUSE = 16
"""The longest pause between probes, as a multiple of the shortest."""

_UNGUARDED = frozenset({"check", "aclose"})


class CircuitState(StrEnum):
    CLOSED = "CLOSED"
    """Calls go through."""
    OPEN = "OPEN"
    """Nothing is sent."""
    HALF_OPEN = "HALF_OPEN"
    """A probe is with the gateway; nothing else is sent."""


class Circuit:
    """Of one account, in one process: each process finds out for itself, and needs no other to tell it.

    Opens after `failures` calls in a row that said nothing (time-outs, 5xx, lost connections); a decline
    or a refusal is an answer. Calls that move money are counted for themselves as well, so that a gateway
    which only reads is not taken for one that works. Then a probe goes out every `pause_seconds`, and its
    answer closes the circuit; but until a call that moves money is answered, the first one that is not
    opens it again, for twice as long.
    """

    def __init__(
        self,
        name: str,
        probe: Callable[[], Awaitable[None]],
        *,
        failures: int,
        pause_seconds: float,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.name = name
        self.state = CircuitState.CLOSED
        self.opened_total = 0
        self._probe = probe
        self._allowed = failures
        self._shortest_pause_seconds = pause_seconds
        self._pause_seconds = pause_seconds
        self._sleep = sleep
        self._unanswered = 0
        self._unanswered_moves = 0
        self._probing: asyncio.Task[None] | None = None

    @property
    def closed(self) -> bool:
        return self.state is CircuitState.CLOSED

    async def call(self, send: Callable[[], Awaitable[Any]], *, moves_money: bool) -> Any:
        """Send something. Raises GatewayNotSent at once while the circuit is not closed."""
        if not self.closed:
            raise GatewayNotSent(f"the circuit of {self.name} is open")
        try:
            answer = await send()
        except GatewayUnknown as error:
            if error.outage:
                self._failed(moves_money)
            else:
                self._answered(moves_money)
            raise
        except GatewayRefused:
            self._answered(moves_money)
            raise
        self._answered(moves_money)
        return answer

    async def aclose(self) -> None:
        if self._probing is not None:
            self._probing.cancel()
            await asyncio.gather(self._probing, return_exceptions=True)

    def _answered(self, moves_money: bool) -> None:
        self._unanswered = 0
        if moves_money:
            self._unanswered_moves = 0
            self._pause_seconds = self._shortest_pause_seconds

    def _failed(self, moves_money: bool) -> None:
        self._unanswered += 1
        self._unanswered_moves += moves_money
        if self.closed and max(self._unanswered, self._unanswered_moves) >= self._allowed:
            self._move(CircuitState.OPEN)
            self.opened_total += 1
            # Not in the context of the request that happened to be the last: its log is not of this.
            self._probing = asyncio.create_task(self._probe_until_it_answers(), context=Context())

    async def _probe_until_it_answers(self) -> None:
        while not self.closed:
            await self._sleep(self._pause_seconds)
            self._move(CircuitState.HALF_OPEN)
            self._move(CircuitState.CLOSED if await self._answers() else CircuitState.OPEN)
        self._unanswered, self._unanswered_moves = 0, self._allowed - 1
        self._pause_seconds = min(2 * self._pause_seconds, LONGEST_PAUSE * self._shortest_pause_seconds)

    async def _answers(self) -> bool:
        try:
            await self._probe()
        except GatewayUnknown as error:
            return not error.outage
        except GatewayRefused:
            return True
        except Exception:
            logger.exception("gateway_probe_failed", gateway=self.name)
            return False
        return True

    def _move(self, state: CircuitState) -> None:
        self.state = state
        log = logger.info if state is CircuitState.CLOSED else logger.warning
        log("gateway_circuit", gateway=self.name, state=state)


class _Guarded:
    """A gateway whose calls go through its circuit. What it prepares, it prepares as before: that sends nothing.

    By attribute and not method by method, so that a call added to the port cannot go around the circuit.
    """

    def __init__(self, gateway: PaymentGateway, circuit: Circuit) -> None:
        self._gateway = gateway
        self._circuit = circuit

    async def aclose(self) -> None:
        await self._circuit.aclose()
        await self._gateway.aclose()

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._gateway, name)
        if name in _UNGUARDED or not inspect.iscoroutinefunction(attribute):
            return attribute

        @wraps(attribute)
        async def guarded(*arguments: Any, **named: Any) -> Any:
            return await self._circuit.call(
                lambda: attribute(*arguments, **named), moves_money=name == "execute"
            )

        return guarded


def guard(gateway: PaymentGateway, circuit: Circuit) -> PaymentGateway:
    """The gateway behind its circuit; closing it ends the probes too."""
    return cast(PaymentGateway, _Guarded(gateway, circuit))
