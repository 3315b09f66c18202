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


def test_every_event_is_published_applied_and_compared(system: RunningSystem) -> None:
    assert payonce("demo", "--orders", "8", "--ready-file", str(system.ready_file)).returncode == 0
    deadline = time.monotonic() + 60
    while True:
        told = status(system)
        rounds = [consumer["window"]["lastRound"] for consumer in told["consumers"]]
        compared = [last["totalCompared"] if last else 0 for last in rounds]
        published = [sum(lane["publishedTotal"] for lane in log["lanes"]) for log in told["logs"]]
        if told["alarms"] == [] and all(c >= p > 0 for c, p in zip(compared, published, strict=True)):
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
