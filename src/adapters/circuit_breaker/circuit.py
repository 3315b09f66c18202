"""A circuit breaker around a gateway account.

Ours rather than a library's (pybreaker has no asyncio; purgatory lets real calls through to try whether
a gateway is back): the probe here must be a call that moves nothing, never a customer's payment.
"""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from enum import StrEnum
from functools import wraps
from typing import Any, cast

import structlog

from domain.payments.gateway import (
    GatewayFailed,
    GatewayNotSent,
    GatewayRefused,
    GatewayUnknown,
    PaymentGateway,
)

logger = structlog.stdlib.get_logger(__name__)

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
    or a refusal is an answer. Then a probe goes out every `pause_seconds`, and its answer closes it.
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
        self._pause_seconds = pause_seconds
        self._sleep = sleep
        self._in_a_row = 0
        self._probing: asyncio.Task[None] | None = None

    @property
    def closed(self) -> bool:
        return self.state is CircuitState.CLOSED

    async def call(self, send: Callable[[], Awaitable[Any]]) -> Any:
        """Send something. Raises GatewayNotSent at once while the circuit is not closed."""
        if not self.closed:
            raise GatewayNotSent(f"the circuit of {self.name} is open")
        try:
            answer = await send()
        except GatewayUnknown as error:
            if error.outage:
                self._failed()
            raise
        except GatewayRefused:
            self._in_a_row = 0
            raise
        self._in_a_row = 0
        return answer

    async def aclose(self) -> None:
        if self._probing is not None:
            self._probing.cancel()
            await asyncio.gather(self._probing, return_exceptions=True)

    def _failed(self) -> None:
        self._in_a_row += 1
        if self.closed and self._in_a_row >= self._allowed:
            self._move(CircuitState.OPEN)
            self.opened_total += 1
            self._probing = asyncio.create_task(self._probe_until_it_answers())

    async def _probe_until_it_answers(self) -> None:
        while not self.closed:
            await self._sleep(self._pause_seconds)
            self._move(CircuitState.HALF_OPEN)
            self._move(CircuitState.CLOSED if await self._answers() else CircuitState.OPEN)
        self._in_a_row = 0

    async def _answers(self) -> bool:
        try:
            await self._probe()
        except GatewayFailed as error:
            return isinstance(error, GatewayRefused) or not cast(GatewayUnknown, error).outage
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
            return await self._circuit.call(lambda: attribute(*arguments, **named))

        return guarded


def guard(gateway: PaymentGateway, circuit: Circuit) -> PaymentGateway:
    """The gateway behind its circuit; closing it ends the probes too."""
    return cast(PaymentGateway, _Guarded(gateway, circuit))
