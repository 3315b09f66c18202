"""How the gateway's book is read: within a budget, patiently, and with its place lost said so."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from adapters.services.gateway_book import PAUSES_SECONDS, Budget, GatewaysBook
from domain.payments.errors import GatewayUnavailable
from domain.payments.gateway import GatewayNotSent, GatewayRefused, GatewayUnknown
from domain.payments.routing import Account, Gateways
from domain.reconciliation.gateway_ports import PlaceLost
from domain.shared.gateway_objects import ObjectKind
from tests.support.fake_gateway import FakeGateway
from tests.support.house import ManualClock, RightSignature

SINCE = datetime(2026, 3, 1, tzinfo=UTC)
BUSY = GatewayUnknown("429: too many requests")


class Scripted(FakeGateway):
    """Its look-ups fail as a test says, in order, and then answer."""

    faults: Sequence[Exception] = ()

    async def get_intent(self, intent_id: str) -> Any:
        if self.faults:
            fault, *self.faults = self.faults
            raise fault
        raise GatewayRefused("resource_missing", "No such intent.")


class Bench:
    def __init__(self, *faults: Exception) -> None:
        self.gateway = Scripted(ManualClock())
        self.gateway.faults = faults
        self.pauses: list[float] = []
        accounts = [Account(self.gateway, RightSignature())]
        self.book = GatewaysBook(Gateways(accounts), Budget(1000, sleep=self.pause), sleep=self.pause)

    async def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)

    async def get(self) -> object:
        return await self.book.get(ObjectKind.INTENT, "fake", "pi_1")


async def test_what_the_gateway_does_not_have_is_none() -> None:
    assert await Bench().get() is None


async def test_a_call_that_came_too_often_is_repeated_with_growing_pauses() -> None:
    bench = Bench(BUSY, BUSY, BUSY)
    assert await bench.get() is None
    assert bench.pauses == [*PAUSES_SECONDS[:3]]
    assert bench.book.calls == 4


async def test_a_gateway_that_goes_on_saying_nothing_ends_the_round() -> None:
    bench = Bench(*[BUSY] * 9)
    with pytest.raises(GatewayUnavailable):
        await bench.get()
    assert bench.pauses == [*PAUSES_SECONDS]


@pytest.mark.parametrize("fault", [GatewayNotSent("circuit open"), GatewayRefused("forbidden", "No.")])
async def test_what_time_does_not_mend_at_once_is_not_repeated(fault: Exception) -> None:
    bench = Bench(fault)
    with pytest.raises(GatewayUnavailable):
        await bench.get()
    assert bench.pauses == []


async def test_a_place_that_is_gone_is_said_to_be_lost() -> None:
    with pytest.raises(PlaceLost):
        await Bench().book.events("fake", after="evt_gone", since=SINCE)


async def test_no_more_calls_a_second_than_the_budget_has() -> None:
    loop = asyncio.get_running_loop()
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    budget = Budget(10, sleep=pause)
    begun = loop.time()
    for _ in range(30):
        await budget.take()
    assert pauses, "the first second's worth is over"
    # The thirtieth waits until two seconds have passed since the first, less what the machine took.
    passed = loop.time() - begun
    assert 2.0 - passed - 0.01 <= max(pauses) <= 2.0
