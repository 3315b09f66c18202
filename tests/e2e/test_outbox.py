"""`payonce outbox` on a running system: the relay keeps what it tells."""

import json
import time
from typing import Any

import pytest

from tests.e2e.conftest import RunningSystem, payonce

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300), pytest.mark.xdist_group("e2e")]


def status(system: RunningSystem) -> Any:
    result = payonce("outbox", "--ready-file", str(system.ready_file), "status", "--json")
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def _published(log: Any) -> list[int]:
    return [lane["publishedTotal"] for lane in log["lanes"] if lane["publisher"] == "dramatiq"]


def test_every_event_is_published_applied_and_compared(system: RunningSystem) -> None:
    assert payonce("demo", "--orders", "8", "--ready-file", str(system.ready_file)).returncode == 0
    deadline = time.monotonic() + 60
    while True:
        told = status(system)
        published = {log["schema"]: sum(_published(log)) for log in told["logs"]}
        compared = dict.fromkeys(published, 0)
        for consumer in told["consumers"]:
            last = consumer["window"]["lastRound"]
            log = "payments" if consumer["topic"] == "payment.events" else "orders"
            compared[log] += last["totalCompared"] if last else 0
        if told["alarms"] == [] and all(compared[log] >= published[log] > 0 for log in published):
            break
        assert time.monotonic() < deadline, told
        time.sleep(0.5)
    for log in told["logs"]:
        assert sum(lane["unpublished"]["number"] for lane in log["lanes"]) == 0
    for consumer in told["consumers"]:
        assert consumer["lag"] == {"number": 0, "isMore": False}


def test_replaying_everything_changes_nothing(system: RunningSystem) -> None:
    command = ("outbox", "--ready-file", str(system.ready_file), "replay", "--from", "1d")
    assert payonce(*command).returncode == 0
    shadow = payonce(*command, "--shadow", "--json")
    assert (shadow.returncode, json.loads(shadow.stdout)["differing"]) == (0, [])
