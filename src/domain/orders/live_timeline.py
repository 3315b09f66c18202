"""The timeline of an order as one listener has been told it so far."""

from collections.abc import Collection, Iterator, Sequence

from domain.shared.timeline import TimelineEntry


class LiveTimeline:
    """Tells what is new in a timeline that is read again and again; `after` is the position known before.

    An entry of the history is told once, when its position is among those that are due. What comes from
    elsewhere is told when it is first seen, and again when it says something else.
    """

    def __init__(self, after: int) -> None:
        self._after = after
        self._told: set[tuple[str, ...]] | None = None

    def news(self, timeline: Sequence[TimelineEntry], due: Collection[int]) -> Iterator[TimelineEntry]:
        """What is to be told now, causes first: nothing behind an entry whose turn has not come."""
        last = max(due, default=self._after)
        told = self._told
        if told is None:
            told = self._told = self._known_before(timeline)
        for entry in timeline:
            if entry.position is None:
                key = _key(entry)
                if key not in told:
                    told.add(key)
                    yield entry
            elif entry.position > last:
                break
            elif entry.position in due:
                yield entry
        self._after = last

    def _known_before(self, timeline: Sequence[TimelineEntry]) -> set[tuple[str, ...]]:
        """What a listener who comes back was told before the position they name."""
        places = [place for place, entry in enumerate(timeline) if entry.position == self._after]
        return {_key(entry) for entry in timeline[: places[0]] if entry.position is None} if places else set()


def _key(entry: TimelineEntry) -> tuple[str, ...]:
    return (entry.kind, entry.title, *sorted(entry.ids.values()))
