"""What to do with events that arrive for ordered streams. Pure: rows in, decisions out."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from outbox.event import Event, EventKey

# Enough to recognise a fork that goes back this far; a passed number before that counts as a repeat.
REMEMBERED_IDS = 64


@dataclass(frozen=True, slots=True)
class Place:
    """A consumer's place in a stream, with the ids of the last applied events, oldest first."""

    applied: int = 0
    recent_ids: Sequence[UUID] = ()
    forked: str | None = None
    address: tuple[int, int] | None = None  # of its row, which holds while that is locked

    def id_at(self, sequence: int) -> UUID | None:
        """The id applied under this passed number; None when that is no longer remembered."""
        index = len(self.recent_ids) - 1 - (self.applied - sequence)
        return self.recent_ids[index] if index >= 0 else None

    def has_passed(self, key: EventKey) -> bool:
        """Whether the event is among those applied, as far back as ids are remembered."""
        if key.sequence is None or key.sequence > self.applied:
            return False
        return self.id_at(key.sequence) in {None, key.id}

    def after(self, ids: Sequence[UUID]) -> "Place":
        """The place once the events with these ids, the next ones, are applied."""
        recent = (*self.recent_ids, *ids)
        return Place(self.applied + len(ids), recent[-REMEMBERED_IDS:], self.forked, self.address)


@dataclass(frozen=True, slots=True)
class Stored:
    """An event that stands in inbox_waiting, without its payload."""

    stream: str
    sequence: int
    id: UUID
    is_plain: bool = True  # waits for the ones before it; else it failed or is parked, and holds its stream


@dataclass(slots=True)
class Plan:
    """What one transaction does. Events to run come in the order of their streams."""

    run: list[Event | Stored] = field(default_factory=list)  # Stored: its payload is in inbox_waiting
    places: dict[str, Place] = field(default_factory=dict)  # of the streams that move
    wait: list[Event] = field(default_factory=list)  # to be stored
    suspects: list[Event] = field(default_factory=list)  # of those, heads of streams that go on alone
    forks: list[tuple[Event, str]] = field(default_factory=list)  # with the cause
    repeated: int = 0


def sequence_of(event: Event) -> int:
    """The event's number. Raises ValueError for an event of an unordered stream."""
    if event.sequence is None:
        raise ValueError(f"event {event.id} has no sequence: an ordered inbox cannot place it")
    return event.sequence


def make_plan(
    events: Iterable[Event],
    places: Mapping[str, Place],
    stored: Iterable[Stored],
    suspects: Collection[UUID] = (),
) -> Plan:
    """Decide for every event whether it is a repeat, is run, waits, or forks its stream.

    `suspects` are ids whose last attempt was never finished: they are not run in a batch.
    """
    plan = Plan()
    arrived: dict[str, list[Event]] = {}
    for event in events:
        arrived.setdefault(event.stream, []).append(event)
    held: dict[str, list[Stored]] = {}
    for row in stored:
        held.setdefault(row.stream, []).append(row)
    for stream in sorted(arrived):
        _plan_stream(plan, places[stream], arrived[stream], held.get(stream, []), suspects)
    return plan


def _plan_stream(
    plan: Plan,
    place: Place,
    arrived: Sequence[Event],
    held: Sequence[Stored],
    suspects: Collection[UUID],
) -> None:
    stored = {row.sequence: row for row in held}
    known_ids = {row.id for row in held}
    new: dict[int, Event] = {}
    forked = place.forked is not None
    for event in sorted(arrived, key=sequence_of):
        sequence = sequence_of(event)
        rival = place.id_at(sequence) if sequence <= place.applied else _rival(sequence, stored, new)
        passed = sequence <= place.applied and rival in {None, event.id}
        if passed or event.id in known_ids:
            plan.repeated += 1
        elif rival is not None and rival != event.id:
            plan.forks.append((event, f"forked: number {sequence} is already taken by event {rival}"))
            forked = True
        else:
            new[sequence] = event
        known_ids.add(event.id)
    if not forked:
        _run_chain(plan, place, new, stored, suspects)
    plan.wait.extend(new.values())


def _rival(sequence: int, stored: Mapping[int, Stored], new: Mapping[int, Event]) -> UUID | None:
    holder = stored.get(sequence) or new.get(sequence)
    return holder.id if holder else None


def _run_chain(
    plan: Plan,
    place: Place,
    new: dict[int, Event],
    stored: Mapping[int, Stored],
    suspects: Collection[UUID],
) -> None:
    """Run what follows the place without a gap, taking it out of `new`."""
    chain: list[Event | Stored] = []
    sequence = place.applied + 1
    while True:
        row = stored.get(sequence)
        event = new.get(sequence)
        if row is not None and row.is_plain:
            chain.append(row)
        elif row is None and event is not None:
            if event.id in suspects:
                plan.suspects.append(event)
                break
            chain.append(new.pop(sequence))
        else:
            break
        sequence += 1
    if chain:
        plan.run.extend(chain)
        plan.places[chain[0].stream] = place.after([member.id for member in chain])
