"""Names and lanes are as durable as the rows that carry them."""

import pytest

from outbox import Outbox
from outbox.event import lane_of


def test_a_stream_keeps_its_lane_in_every_version() -> None:
    assert [lane_of(f"pay_{n}", 8) for n in range(6)] == [4, 2, 0, 6, 5, 3]


def test_lanes_are_used_evenly() -> None:
    counts = [0] * 8
    for n in range(8000):
        counts[lane_of(f"pay_{n:032x}", 8)] += 1
    assert min(counts) > 850
    assert max(counts) < 1150


@pytest.mark.parametrize("schema", ["", "Payments", "a b", "x; DROP TABLE y", '"', "1a"])
def test_a_schema_that_would_need_quotes_is_refused(schema: str) -> None:
    with pytest.raises(ValueError, match="identifier"):
        Outbox(schema)


@pytest.mark.parametrize("lanes", [0, -1, 1001])
def test_lanes_are_bounded(lanes: int) -> None:
    with pytest.raises(ValueError, match="lanes"):
        Outbox("shop", lanes=lanes)
