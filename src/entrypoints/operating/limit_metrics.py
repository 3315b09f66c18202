"""Prometheus metrics of the rate limits, as this process sees them."""

from collections.abc import Iterable

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from adapters.rate_limits.limiter import RateLimiter

SAMPLE_NAMES = frozenset({"payonce_rate_limited_total", "payonce_rate_limits_shared"})
"""What these metrics are called where they are read."""


class RateLimitMetrics(Collector):
    def __init__(self, limiter: RateLimiter) -> None:
        self._limiter = limiter

    def collect(self) -> Iterable[Metric]:
        refused = CounterMetricFamily(
            "payonce_rate_limited", "Requests that this process answered 429, by policy.", labels=["policy"]
        )
        for policy, count in self._limiter.refused.items():
            refused.add_metric([policy], count)
        shared = GaugeMetricFamily(
            "payonce_rate_limits_shared", "1 while this process's counts and those of the others are joined."
        )
        shared.add_metric([], float(self._limiter.is_shared))
        return [refused, shared]
