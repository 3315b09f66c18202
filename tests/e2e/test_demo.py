"""The main job, for real: orders over HTTP against the whole system, undisturbed and with processes killed."""

import json
import os
import signal
import subprocess

import pytest

from tests.e2e.conftest import PAYONCE, RunningSystem, environment, payonce

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300), pytest.mark.xdist_group("e2e")]


def test_the_tour_ends_with_every_order_right(system: RunningSystem) -> None:
    result = payonce("demo", "--ready-file", str(system.ready_file), "--json")
    assert result.returncode == 0, result.stdout + result.stderr
    report = json.loads(result.stdout)
    assert report["faults"] == {}
    statuses = {order["kind"]: order["status"] for order in report["orders"]}
    assert statuses.pop("partial refund") == "PARTIALLY_REFUNDED"
    assert statuses.pop("canceled") == "CANCELED"
    assert statuses.pop("sold out, then shipped") == "FULFILLED"
    assert sum(item["reserved"] for item in report["stock"]) > 0
    assert set(statuses.values()) <= {"PAID", "PROCESSING_FULFILLMENT"}
    assert set(statuses) == {"paid", "declined, then paid", "3-D Secure", "manual capture"}
    assert all(order["events"] >= 1 for order in report["orders"])


def test_killed_processes_lose_and_double_nothing(system: RunningSystem) -> None:
    arguments = ("demo", "--orders", "48", "--concurrency", "16")
    demo = subprocess.Popen(
        [*PAYONCE, *arguments, "--ready-file", str(system.ready_file), "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    kills = 0
    for name in ("worker", "relay", "http", "worker", "http", "relay"):
        try:
            demo.wait(1.0)
            break
        except subprocess.TimeoutExpired:
            os.kill(system.pid(name), signal.SIGKILL)
            kills += 1
    output, errors = demo.communicate(timeout=240)
    assert demo.returncode == 0, output + errors
    report = json.loads(output)
    assert report["faults"] == {}
    assert len(report["orders"]) == 48
    assert kills >= 2, "the orders were over before enough was killed: place more"


def test_the_timeline_is_shown_to_people(system: RunningSystem) -> None:
    result = payonce("demo", "--ready-file", str(system.ready_file))
    assert result.returncode == 0, result.stdout + result.stderr
    assert "Nothing lost, nothing doubled." in result.stdout
    assert "PaymentSucceeded" in result.stdout
    assert "Payment received for order" in result.stdout
