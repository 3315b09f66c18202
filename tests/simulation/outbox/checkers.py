"""What must hold of the outbox, said by those who only look: they share no code with it.

Each checker takes what was read from the databases, or noted by the simulation, and returns what is wrong
with it in words; nothing wrong is an empty list.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from uuid import UUID


@dataclass(frozen=True)
class Fact:
    """An event whose transaction committed, as the producer's own table has it. Unordered ones have no number."""

    id: UUID
    stream: str
    sequence: int | None


@dataclass(frozen=True)
class LogRow:
    """An event in the log, with its address there."""

    id: UUID
    lane: int
    position: int
    xid: int


@dataclass(frozen=True)
class Place:
    """A reader's newest place in one lane, as it is stored."""

    lane: int
    base: str
    target: str | None
    last_position: int
    highest_position: int
    restored_position: int
    restored_base: str | None


@dataclass(frozen=True)
class Held:
    """An event that a consumer has, and has not applied."""

    fact: Fact
    is_parked: bool
    is_due: bool
    attempts: int
    cause: str | None


@dataclass(frozen=True)
class Stream:
    """A consumer's place in a stream."""

    applied: int
    forked: str | None


def ghosts(effects: Iterable[Fact], facts: Collection[Fact]) -> list[str]:
    """Effects of events that nobody committed."""
    known = set(facts)
    return [f"{effect} took effect, and was never committed" for effect in effects if effect not in known]


def doubled(effects: Iterable[Fact]) -> list[str]:
    """Events with more than one effect."""
    counts = Counter(effect.id for effect in effects)
    return [f"event {event} took effect {count} times" for event, count in counts.items() if count > 1]


def inverted(effects: Sequence[Fact], skipped: Collection[Fact]) -> list[str]:
    """Streams whose effects, in the order they happened, are not 1, 2, 3 … but for what was skipped."""
    found = []
    left_out = {(event.stream, event.sequence) for event in skipped}
    for stream, numbers in _by_stream(effects).items():
        expected = 1
        for number in numbers:
            while (stream, expected) in left_out and expected != number:
                expected += 1
            if number != expected:
                found.append(f"stream {stream} has taken effect as {numbers}: {expected} was next")
                break
            expected += 1
    return found


def misplaced(streams: Mapping[str, Stream], effects: Iterable[Fact], skipped: Collection[Fact]) -> list[str]:
    """Streams whose stored place is not what has taken effect or was skipped."""
    passed: dict[str, set[int]] = {}
    for event in (*effects, *skipped):
        if event.sequence is not None:
            passed.setdefault(event.stream, set()).add(event.sequence)
    found = []
    for stream in streams.keys() | passed.keys():
        done = passed.get(stream, set())
        reached = next(n for n in range(len(done) + 1) if n + 1 not in done)
        stored = streams[stream].applied if stream in streams else 0
        if stored != reached:
            found.append(f"stream {stream} stands at {stored}, and has passed {sorted(done)}")
    return found


def lost(
    facts: Iterable[Fact],
    effects: Collection[Fact],
    skipped: Collection[Fact],
    held: Collection[Held],
    forked: Collection[str] = (),
) -> list[str]:
    """Committed events of which nothing is left: neither effect, nor skipped, nor held for an operator.

    To be asked when all is quiet. What waits is accounted for behind a parked event of its stream, or in
    a stream that is parked as a whole (`forked`).
    """
    done = {event.id for event in (*effects, *skipped)}
    waiting = {event.fact.id: event for event in held}
    first_parked = dict.fromkeys(forked, 0)
    for event in held:
        if event.is_parked:
            number = event.fact.sequence or 0
            first_parked[event.fact.stream] = min(number, first_parked.get(event.fact.stream, number))
    found = []
    for fact in facts:
        if fact.id in done:
            continue
        here = waiting.get(fact.id)
        if here is None:
            found.append(f"{fact} was committed and is lost")
        elif not here.is_parked and not first_parked.get(fact.stream, 1 << 62) < (fact.sequence or 0):
            found.append(f"{fact} waits for nothing")
    return found


def mistaken(facts: Iterable[Fact], effects: Iterable[Fact], forked: Collection[str]) -> list[str]:
    """Events that were taken for repeats of others: their number took effect under another id.

    To be asked when all is quiet. Their streams must be parked as forked.
    """
    took_effect = {(effect.stream, effect.sequence): effect.id for effect in effects}
    return [
        f"{fact} was taken for a repeat of {took_effect[fact.stream, fact.sequence]}"
        for fact in facts
        if took_effect.get((fact.stream, fact.sequence), fact.id) != fact.id and fact.stream not in forked
    ]


def blamed(held: Iterable[Held], poisonous: Collection[UUID]) -> list[str]:
    """Parked events that were never at fault; a fork is nobody's fault."""
    return [
        f"{event.fact} is parked for {event.cause!r}, and is innocent"
        for event in held
        if event.is_parked and event.fact.id not in poisonous and not (event.cause or "").startswith("forked")
    ]


def unexplained(held: Iterable[Held]) -> list[str]:
    """Parked events whose cause nobody noted."""
    return [
        f"{event.fact} is parked without a cause" for event in held if event.is_parked and not event.cause
    ]


def unpublished(facts: Iterable[Fact], published: Collection[UUID]) -> list[str]:
    """Committed events that no relay has published. To be asked when all is quiet."""
    return [f"{fact} was committed and never published" for fact in facts if fact.id not in published]


def published_out_of_order(published: Iterable[Fact]) -> list[str]:
    """Streams whose events were not published in their order, each counted where it came first."""
    first = dict.fromkeys(published)
    return [
        f"stream {stream} was published as {numbers}"
        for stream, numbers in _by_stream(first).items()
        if any(later < earlier for earlier, later in pairwise(numbers))
    ]


def invented(published: Iterable[Fact], facts: Collection[Fact]) -> list[str]:
    """Published events that nobody committed."""
    known = set(facts)
    return [f"{event} was published, and was never committed" for event in published if event not in known]


def run_ahead(places: Iterable[Place], log: Iterable[LogRow], published: Collection[UUID]) -> list[str]:
    """Events that a stored cursor has passed and no broker has accepted."""
    by_lane = {place.lane: place for place in places}
    return [
        f"{row} is behind the cursor {by_lane[row.lane]}, and was never published"
        for row in log
        if row.lane in by_lane and row.id not in published and has_passed(by_lane[row.lane], row)
    ]


def has_passed(place: Place, row: LogRow) -> bool:
    """Whether this place says that the row is done."""
    if row.position <= place.restored_position:
        if place.restored_base is None:
            return True
        known = row.position <= place.highest_position and is_visible(place.restored_base, row.xid)
        return known or row.position <= place.last_position
    if is_visible(place.base, row.xid):
        return True
    if place.target is None:
        return False
    return row.position <= place.last_position and is_visible(place.target, row.xid)


def is_visible(snapshot: str, xid: int) -> bool:
    """Whether a transaction was over for this snapshot ("xmin:xmax:xip,…", as PostgreSQL writes it)."""
    _, xmax, open_ones = snapshot.split(":")
    return xid < int(xmax) and str(xid) not in open_ones.split(",")


def _by_stream(events: Iterable[Fact]) -> dict[str, list[int]]:
    numbers: dict[str, list[int]] = {}
    for event in events:
        if event.sequence is not None:
            numbers.setdefault(event.stream, []).append(event.sequence)
    return numbers
