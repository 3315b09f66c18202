"""Prometheus metrics of the gateway accounts' circuits, as this process sees them.

Each process has circuits of its own, so these differ from one HTTP process to the next, and those of
the relay show in its log only.
"""

from collections.abc import Iterable, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from adapters.circuit_breaker.circuit import Circuit

SAMPLE_NAMES = frozenset({"payonce_gateway_circuit_open", "payonce_gateway_circuit_opened_total"})
"""What these metrics are called where they are read."""


class CircuitMetrics(Collector):
    def __init__(self, circuits: Mapping[str, Circuit]) -> None:
        self._circuits = circuits

    def collect(self) -> Iterable[Metric]:
        is_open = GaugeMetricFamily(
            "payonce_gateway_circuit_open",
            "1 while nothing is sent to the gateway account but probes.",
            labels=["gateway"],
        )
        opened = CounterMetricFamily(
            "payonce_gateway_circuit_opened", "How often that began in this process.", labels=["gateway"]
        )
        for name, circuit in self._circuits.items():
            is_open.add_metric([name], 0.0 if circuit.closed else 1.0)
            opened.add_metric([name], circuit.opened_total)
        return [is_open, opened]
