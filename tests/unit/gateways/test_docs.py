"""docs/gateways.md names settings and metrics that exist, and all of them."""

import re
from pathlib import Path

from adapters.circuit_breaker.circuit import Circuit
from adapters.stripe.plugin import StripeSettings
from domain.payments.plugin import ENTRY_POINTS
from entrypoints.operating.gateway_metrics import SAMPLE_NAMES, CircuitMetrics
from entrypoints.settings import PREFIX, Settings

PAGE = (Path(__file__).parents[3] / "docs" / "gateways.md").read_text(encoding="utf-8")


async def _nothing() -> None:
    pass


def test_every_metric_is_explained_and_no_other() -> None:
    circuit = Circuit("x", _nothing, failures=1, pause_seconds=1)
    told = {sample.name for metric in CircuitMetrics({"x": circuit}).collect() for sample in metric.samples}
    assert told == SAMPLE_NAMES
    assert told == set(re.findall(r"^\| `(payonce_\w+)`", PAGE, re.MULTILINE))


def test_every_setting_of_stripe_is_named() -> None:
    [line] = re.findall(r"^.*Those of `stripe`: (.*?)\. A wrong one", PAGE, re.MULTILINE)
    assert set(re.findall(r"`(\w+)`", line)) == set(StripeSettings.__struct_fields__)


def test_settings_and_the_entry_points_are_called_so() -> None:
    named = set(re.findall(rf"{PREFIX}([A-Z_]+[A-Z])\b", PAGE)) - {"TEST_GATEWAY", "CONFIG", "STRIPE"}
    assert named
    assert named <= {field.upper() for field in Settings.__struct_fields__}
    assert f'[project.entry-points."{ENTRY_POINTS}"]' in PAGE
