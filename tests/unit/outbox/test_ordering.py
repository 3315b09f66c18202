"""Deliveries in any order, repeated and cut off at will: each stream is applied once, in order, without gaps."""

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from outbox import Event
from outbox.event import EventKey
from outbox.ordering import REMEMBERED_IDS, Place, Stored, make_plan


def event(stream: str, sequence: int, *, history: int = 0) -> Event:
    """The event of this number; in another history, another event has the number."""
    event_id = UUID(int=history << 100 | ord(stream[0]) << 64 | sequence)
    return Event(event_id, "facts", stream, sequence, "T", b"{}", {})


class Consumer:
    """An inbox in memory that does what plans say."""

    def __init__(self) -> None:
        self.places: dict[str, Place] = {}
        self.stored: dict[UUID, Stored] = {}
        self.applied: dict[str, list[int]] = {}

    def receive(self, events: list[Event], suspects: frozenset[UUID] = frozenset()) -> None:
        for e in events:
            self.places.setdefault(e.stream, Place())
        plan = make_plan(events, self.places, self.stored.values(), suspects)
        ids = {e.id: e for e in events}
        for member in plan.run:
            gone = self.stored.pop(member.id, None)
            sequence = gone.sequence if gone else ids[member.id].sequence
            assert sequence is not None
            self.applied.setdefault(member.stream, []).append(sequence)
        self.places.update(plan.places)
        heads = {e.id for e in plan.suspects}
        for e in plan.wait:
            assert e.id not in self.stored
            assert e.sequence is not None
            self.stored[e.id] = Stored(e.stream, e.sequence, e.id, is_plain=e.id not in heads)

    def run_suspects(self) -> None:
        """Each held head alone, as the schedule does, until none is left."""
        while held := [row for row in self.stored.values() if not row.is_plain]:
            row = held[0]
            del self.stored[row.id]
            place = self.places[row.stream]
            assert row.sequence == place.applied + 1
            self.applied.setdefault(row.stream, []).append(row.sequence)
            self.places[row.stream] = place.after([row.id])
            for other in list(self.stored.values()):
                if (other.stream, other.sequence) == (row.stream, row.sequence + 1):
                    self.stored[other.id] = Stored(other.stream, other.sequence, other.id, is_plain=False)


deliveries = st.lists(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 8)), min_size=1, max_size=10), max_size=15
)


@given(deliveries, st.sets(st.tuples(st.sampled_from("abc"), st.integers(1, 8))))
def test_whatever_is_delivered_each_stream_is_applied_once_in_order(
    batches: list[list[tuple[str, int]]], suspected: set[tuple[str, int]]
) -> None:
    consumer = Consumer()
    suspects = frozenset(event(*key).id for key in suspected)
    delivered: dict[str, set[int]] = {}
    for batch in batches:
        consumer.receive([event(*key) for key in batch], suspects)
        consumer.run_suspects()
        for stream, sequence in batch:
            delivered.setdefault(stream, set()).add(sequence)

    for stream, sequences in delivered.items():
        reachable = next(n for n in range(1, 10) if n not in sequences) - 1
        assert consumer.applied.get(stream, []) == list(range(1, reachable + 1))
        waiting = {row.sequence for row in consumer.stored.values() if row.stream == stream}
        assert waiting == {n for n in sequences if n > reachable}


def test_another_event_under_a_passed_number_is_a_fork() -> None:
    places = {"a": Place().after([event("a", n).id for n in range(1, 6)])}
    plan = make_plan([event("a", 2, history=1), event("a", 6)], places, [])
    assert [cause.split(":")[0] for _, cause in plan.forks] == ["forked"]
    assert plan.run == []
    assert [e.sequence for e in plan.wait] == [6]


def test_two_events_for_one_number_in_a_batch_are_a_fork() -> None:
    plan = make_plan([event("a", 1), event("a", 1, history=1)], {"a": Place()}, [])
    assert len(plan.forks) == 1
    assert plan.run == []


def test_a_forked_stream_applies_nothing_and_others_go_on() -> None:
    places = {"a": Place(forked="forked: …"), "b": Place()}
    plan = make_plan([event("a", 1), event("b", 1)], places, [])
    assert [member.stream for member in plan.run] == ["b"]


def test_a_number_whose_id_is_forgotten_counts_as_a_repeat() -> None:
    ids = [event("a", n).id for n in range(1, REMEMBERED_IDS + 11)]
    place = Place().after(ids)
    assert len(place.recent_ids) == REMEMBERED_IDS
    assert place.id_at(10) is None
    assert place.id_at(11) == ids[10]
    assert place.has_passed(EventKey(event("a", 5, history=1).id, "a", 5))
    assert not place.has_passed(EventKey(event("a", 50, history=1).id, "a", 50))
    plan = make_plan([event("a", 5, history=1)], {"a": place}, [])
    assert plan.repeated == 1


def test_a_stream_whose_head_is_held_waits() -> None:
    held = Stored("a", 1, event("a", 1).id, is_plain=False)
    plan = make_plan([event("a", 1), event("a", 2)], {"a": Place()}, [held])
    assert (plan.repeated, plan.run, [e.sequence for e in plan.wait]) == (1, [], [2])
