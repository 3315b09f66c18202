"""Faults are drawn from the seed alone."""

from itertools import pairwise
from typing import Any

from sandbox.chaos import ApiChaos, Chaos, ChaosMonkey, WebhookChaos
from sandbox.clock import Clock


def monkey(**chaos: Any) -> ChaosMonkey:
    return ChaosMonkey(Clock(), Chaos(**chaos))


def copies(seed: int) -> list[int]:
    drawn = monkey(seed=seed, webhooks=WebhookChaos(drop=0.3, duplicate=0.3))
    return [len(drawn.delivery_delays()) for _ in range(1000)]


def test_deliveries() -> None:
    first = copies(1)
    assert first == copies(1)
    assert first != copies(2)
    assert 250 <= first.count(0) <= 350
    assert 150 <= first.count(2) <= 270


def test_without_chaos_everything_goes_at_once() -> None:
    calm = monkey()
    assert [calm.delivery_delays() for _ in range(3)] == [[0.0]] * 3
    faults = calm.request_faults(writes=True)
    assert (faults.error_before, faults.error_after, faults.hang) == (False, False, False)


def test_a_delay_alone_keeps_the_order() -> None:
    late = monkey(seed=1, webhooks=WebhookChaos(delay_ms_max=10_000))
    delays = [late.delivery_delays()[0] for _ in range(100)]
    # The clock runs on between two draws, so an equal end is a slightly shorter delay.
    assert all(after >= before - 1 for before, after in pairwise(delays))
    assert 0 < max(delays) <= 11


def test_reading_has_no_work_to_lose() -> None:
    faulty = monkey(seed=1, api=ApiChaos(error500=1, timeout_after_success=1))
    for _ in range(50):
        faults = faulty.request_faults(writes=False)
        assert (faults.error_before, faults.error_after, faults.hang) == (True, False, False)
