"""The cases of W3C's recommendation (https://www.w3.org/TR/trace-context/#traceparent-header)."""

import re

import pytest

from entrypoints.traces import continued, current_traceparent, in_new_traces
from tests.support.house import CountedIds

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"
VALID = re.compile("00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-0[01]")


@pytest.mark.parametrize(
    ("given", "flags"),
    [
        (f"00-{TRACE}-{SPAN}-01", "01"),
        (f"00-{TRACE}-{SPAN}-00", "00"),
        (f"00-{TRACE}-{SPAN}-ff", "01"),
        (f"00-{TRACE}-{SPAN}-02", "00"),
        (f"01-{TRACE}-{SPAN}-01", "01"),
        (f"cc-{TRACE}-{SPAN}-01-what-the-future-brings", "01"),
    ],
)
def test_a_valid_trace_goes_on_in_a_new_span(given: str, flags: str) -> None:
    ours = continued(given, CountedIds())
    assert VALID.fullmatch(ours)
    assert ours[:36] == f"00-{TRACE}-"
    assert ours[36:52] != SPAN
    assert ours[53:] == flags


@pytest.mark.parametrize(
    "given",
    [
        None,
        "",
        "00",
        TRACE,
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE}-{SPAN}-01.",
        f"01-{TRACE}-{SPAN}-01.",
        f"ff-{TRACE}-{SPAN}-01",
        f"0-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE[1:]}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-1",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01\n",
        f" 00-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01,00-{TRACE}-{SPAN}-01",
        f"01-{TRACE}-{SPAN}-01-x,01-{TRACE}-{SPAN}-01-x",
    ],
)
def test_anything_else_begins_a_new_trace(given: str | None) -> None:
    ours = continued(given, CountedIds())
    assert VALID.fullmatch(ours)
    assert TRACE not in ours
    assert ours.endswith("-01")


async def test_work_that_nobody_asked_for_has_a_trace_for_each_run() -> None:
    seen = []

    async def work() -> None:
        seen.append(current_traceparent())

    traced = in_new_traces(work, CountedIds())
    await traced()
    await traced()

    first, second = seen
    assert first is not None
    assert second is not None
    assert VALID.fullmatch(first)
    assert first[3:35] != second[3:35]
    assert current_traceparent() is None
