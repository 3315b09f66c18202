"""When a circuit opens, what it lets through, and when it closes again."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from adapters.circuit_breaker.circuit import Circuit, CircuitState, guard
from domain.payments.gateway import GatewayNotSent, GatewayRefused, GatewayUnknown
from tests.support.fake_gateway import FakeGateway
from tests.support.house import ManualClock
from tests.support.pauses import Pauses


class Probe:
    """Answers what a test tells it to, when it tells it to."""

    def __init__(self) -> None:
        self.asked: asyncio.Queue[None] = asyncio.Queue()
        self.answers: asyncio.Queue[Exception | None] = asyncio.Queue()

    async def __call__(self) -> None:
        self.asked.put_nowait(None)
        answer = await self.answers.get()
        if answer is not None:
            raise answer


async def works() -> str:
    return "done"


def fails_with(error: Exception) -> Callable[[], Awaitable[str]]:
    async def fail() -> str:
        raise error

    return fail


OUTAGE = fails_with(GatewayUnknown("HTTP 500"))
KEY_IN_FLIGHT = fails_with(GatewayUnknown("HTTP 409", outage=False))
REFUSED = fails_with(GatewayRefused("card_declined", "No."))


@pytest.fixture
def pauses() -> Pauses:
    return Pauses()


@pytest.fixture
def probe() -> Probe:
    return Probe()


@pytest.fixture
async def circuit(pauses: Pauses, probe: Probe) -> AsyncIterator[Circuit]:
    circuit = Circuit("stripe", probe, failures=3, pause_seconds=7, sleep=pauses.sleep)
    yield circuit
    await circuit.aclose()


async def send(circuit: Circuit, *calls: Callable[[], Awaitable[str]]) -> None:
    for call in calls:
        await asyncio.gather(circuit.call(call, moves_money=True), return_exceptions=True)


def state_of(circuit: Circuit) -> str:
    return circuit.state  # whatever mypy knows of it from before


async def open_it(circuit: Circuit) -> None:
    await send(circuit, OUTAGE, OUTAGE, OUTAGE)
    assert circuit.state is CircuitState.OPEN


async def test_failures_in_a_row_open_it_and_nothing_is_sent_then(circuit: Circuit) -> None:
    await send(circuit, OUTAGE, OUTAGE)
    assert circuit.closed
    await send(circuit, OUTAGE)
    assert (circuit.state, circuit.opened_total) == (CircuitState.OPEN, 1)
    sent: list[str] = []

    async def sending() -> None:
        sent.append("x")

    with pytest.raises(GatewayNotSent):
        await circuit.call(sending, moves_money=True)
    assert sent == []


@pytest.mark.parametrize("answer", [works, REFUSED])
async def test_an_answer_in_between_starts_the_count_anew(
    circuit: Circuit, answer: Callable[[], Awaitable[str]]
) -> None:
    await send(circuit, OUTAGE, OUTAGE, answer, OUTAGE, OUTAGE)
    assert circuit.closed


@pytest.mark.parametrize("answer", [works, REFUSED, KEY_IN_FLIGHT])
async def test_answers_are_not_counted_however_many(
    circuit: Circuit, answer: Callable[[], Awaitable[str]]
) -> None:
    await send(circuit, *[answer] * 20)
    assert circuit.closed


@pytest.mark.parametrize(
    "answer", [None, GatewayRefused("api_key_expired", "No."), GatewayUnknown("409", outage=False)]
)
async def test_one_probe_at_a_time_closes_it_once_the_gateway_answers(
    circuit: Circuit, pauses: Pauses, probe: Probe, answer: Exception | None
) -> None:
    await open_it(circuit)
    assert await pauses.begun.get() == 7
    pauses.end()
    await probe.asked.get()
    assert state_of(circuit) == "HALF_OPEN"
    with pytest.raises(GatewayNotSent):
        await circuit.call(works, moves_money=True)
    probe.answers.put_nowait(GatewayUnknown("HTTP 503"))
    await pauses.begun.get()
    assert state_of(circuit) == "OPEN"
    pauses.end()
    probe.answers.put_nowait(answer)
    assert circuit._probing is not None
    await circuit._probing
    assert circuit.closed
    assert await circuit.call(works, moves_money=True) == "done"
    await send(circuit, OUTAGE, OUTAGE)
    assert circuit.closed, "it counts from nothing"


async def test_reading_does_not_excuse_money_that_is_not_moved(circuit: Circuit) -> None:
    for _ in range(3):
        assert circuit.closed
        await circuit.call(works, moves_money=False)
        await send(circuit, OUTAGE)
    assert circuit.state is CircuitState.OPEN


async def test_one_kind_of_reading_that_fails_opens_nothing_while_others_are_answered(
    circuit: Circuit,
) -> None:
    for _ in range(9):
        await asyncio.gather(circuit.call(OUTAGE, moves_money=False), return_exceptions=True)
        await circuit.call(works, moves_money=False)
    assert circuit.closed


async def test_until_money_moves_the_first_silence_opens_it_again_for_twice_as_long(
    circuit: Circuit, pauses: Pauses, probe: Probe
) -> None:
    await open_it(circuit)
    for seconds in (7, 14, 28, 56, 112, 112):
        assert await pauses.begun.get() == seconds
        pauses.end()
        probe.answers.put_nowait(None)
        assert circuit._probing is not None
        await circuit._probing
        await circuit.call(works, moves_money=False)
        await send(circuit, OUTAGE)
    pauses.end()
    probe.answers.put_nowait(None)
    assert circuit._probing is not None
    await circuit._probing
    await send(circuit, works, OUTAGE, OUTAGE)
    assert circuit.closed
    await send(circuit, OUTAGE)
    assert await pauses.begun.get() == 112
    assert await pauses.begun.get() == 7


async def test_a_fault_in_a_plug_in_s_probe_does_not_end_the_probing(
    circuit: Circuit, pauses: Pauses, probe: Probe
) -> None:
    await open_it(circuit)
    for answer in (ZeroDivisionError(), None):
        await pauses.begun.get()
        pauses.end()
        probe.answers.put_nowait(answer)
    assert circuit._probing is not None
    await circuit._probing
    assert circuit.closed


async def test_calls_that_were_out_when_it_opened_open_it_once(circuit: Circuit) -> None:
    await asyncio.gather(*(circuit.call(OUTAGE, moves_money=True) for _ in range(10)), return_exceptions=True)
    assert circuit.opened_total == 1


async def test_a_gateway_behind_its_circuit_prepares_and_says_its_name_as_before(
    pauses: Pauses, probe: Probe
) -> None:
    fake = FakeGateway(ManualClock())
    circuit = Circuit("fake", fake.check, failures=1, pause_seconds=7, sleep=pauses.sleep)
    gateway = guard(fake, circuit)
    fake.down = True
    with pytest.raises(GatewayUnknown):
        await gateway.get_intent("pi_1")
    fake.down = False
    with pytest.raises(GatewayNotSent):
        await gateway.get_intent("pi_1")
    assert gateway.name == "fake"
    assert gateway.prepare_cancel("pi_1", reason=None).path == "cancel"
    gateway.check_amount(1000, "EUR")
    await pauses.begun.get()
    pauses.end()
    assert circuit._probing is not None
    await circuit._probing
    with pytest.raises(GatewayRefused):
        await gateway.get_intent("pi_1")
    await gateway.aclose()
