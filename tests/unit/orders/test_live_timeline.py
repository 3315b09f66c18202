"""A listener is told each entry of the history once, and what comes from elsewhere when it is new."""

from dataclasses import replace
from itertools import pairwise

from domain.orders.live_timeline import LiveTimeline
from domain.shared.timeline import TimelineEntry, TimelineKind
from tests.support.house import START


def entry(name: str, position: int | None = None) -> TimelineEntry:
    kind = TimelineKind.EVENT if position else TimelineKind.OPERATION
    return TimelineEntry(at=START, kind=kind, title=name, ids={"id": name}, position=position)


TIMELINE = [entry("request", 1), entry("call"), entry("event", 4), entry("webhook"), entry("effect", 9)]


def told(live: LiveTimeline, timeline: list[TimelineEntry], *due: int) -> list[str]:
    return [entry.title for entry in live.news(timeline, due)]


def test_what_has_happened_is_told_in_order() -> None:
    assert told(LiveTimeline(0), TIMELINE, 1, 4, 9) == ["request", "call", "event", "webhook", "effect"]


def test_nothing_is_told_before_its_cause() -> None:
    live = LiveTimeline(0)
    assert told(live, TIMELINE, 1) == ["request", "call"]
    assert told(live, TIMELINE, 4) == ["event", "webhook"]
    assert told(live, TIMELINE, 9) == ["effect"]
    assert told(live, TIMELINE) == []


def test_what_comes_late_or_says_something_else_is_told() -> None:
    live = LiveTimeline(0)
    assert told(live, TIMELINE, 1, 4, 9)
    changed = replace(TIMELINE[1], title="call: done")
    assert told(live, [TIMELINE[0], changed, *TIMELINE[2:], entry("late")]) == ["call: done", "late"]


def test_who_comes_back_is_not_told_what_was_before_their_position() -> None:
    assert told(LiveTimeline(4), TIMELINE, 9) == ["webhook", "effect"]
    assert told(LiveTimeline(3), TIMELINE, 4, 9) == ["call", "event", "webhook", "effect"]


def test_every_entry_is_told_once_however_the_rows_are_cut() -> None:
    for cuts in ([0, 9], [0, 1, 9], [0, 4, 9], [0, 1, 4, 9]):
        live = LiveTimeline(0)
        got = []
        for after, last in pairwise(cuts):
            got += told(live, TIMELINE, *(p for p in (1, 4, 9) if after < p <= last))
        assert got == [entry.title for entry in TIMELINE]
